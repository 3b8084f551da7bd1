// An SMS centre that speaks SMPP. The last digit of the number says what becomes of a message:
//   0 delivered · 1 not delivered · 2 expired · 3 refused by the carrier · 4 deleted · 5 unknown · 6 only accepted
//   9 refused at once, as an invalid address · 8 delivered in the end, after a receipt that it waits
// What it was given it tells on standard output, a line of JSON each. A line {"from","to","text"} on standard input
// is a person's message.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const smpp = createRequire(new URL("../../agent_ui/package.json", import.meta.url))("smpp");
const ENDS = ["DELIVRD", "UNDELIV", "EXPIRED", "REJECTD", "DELETED", "UNKNOWN", "ACCEPTD"];
const INVALID_ADDRESS = 0x0b;
const RECEIPT = 4;
const INTERNATIONAL = 1;
const UCS2 = 8;
const sessions = new Set();
let number = 0;

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const address = (prefix, digits) => ({
  [`${prefix}_addr`]: digits.replace("+", ""),
  [`${prefix === "source" ? "source" : "dest"}_addr_ton`]: digits.startsWith("+") ? INTERNATIONAL : 0,
  [`${prefix === "source" ? "source" : "dest"}_addr_npi`]: 1,
});

function receipt(session, pdu, id, stat) {
  const error = stat === "EXPIRED" ? "027" : "000";
  const text = `id:${id} sub:001 dlvrd:001 submit date:2611220100 done date:2611220101 stat:${stat} err:${error} text:-`;
  session.deliver_sm({
    source_addr: pdu.destination_addr,
    destination_addr: pdu.source_addr,
    esm_class: RECEIPT,
    short_message: { message: text },
  });
}

function taken(session, pdu) {
  const digit = Number(pdu.destination_addr.at(-1));
  say({ to: pdu.destination_addr, coding: pdu.data_coding, text: pdu.short_message.message });
  if (digit === 9) {
    session.send(pdu.response({ command_status: INVALID_ADDRESS }));
    return;
  }
  const id = String(++number);
  session.send(pdu.response({ message_id: id }));
  if (digit === 8) receipt(session, pdu, id, "ACCEPTD");
  receipt(session, pdu, id, ENDS[digit] ?? "DELIVRD");
}

const server = smpp.createServer((session) => {
  const bound = (pdu) => {
    session.send(pdu.response());
    sessions.add(session);
    say({ bound: true });
  };
  session.on("bind_transceiver", bound);
  session.on("submit_sm", (pdu) => taken(session, pdu));
  session.on("enquire_link", (pdu) => session.send(pdu.response()));
  session.on("unbind", (pdu) => session.send(pdu.response()));
  session.on("close", () => sessions.delete(session));
  session.on("error", () => sessions.delete(session));
});

createInterface({ input: process.stdin }).on("line", (line) => {
  const { from, to, text } = JSON.parse(line);
  const plain = /^[\x20-\x7e]*$/.test(text);
  for (const session of sessions) {
    session.deliver_sm({
      ...address("source", from),
      destination_addr: to,
      data_coding: plain ? 0 : UCS2,
      short_message: { message: plain ? text : Buffer.from(text, "utf16le").swap16() },
    });
  }
}).on("close", () => process.exit(0));

server.listen(Number(process.argv[2]), "127.0.0.1", () => say({ listening: true }));
