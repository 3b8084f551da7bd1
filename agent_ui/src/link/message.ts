/** A previewed message carries a stand-in for the link's address; this puts the true one there, or gives null. */
export function withAddress(preview: string, url: string): string | null {
  const prefix = url.slice(0, url.lastIndexOf("/") + 1);
  const at = preview.indexOf(prefix);
  if (at < 0) return null;
  const rest = preview.slice(at + prefix.length).replace(/^[\w…-]+/, "");
  return preview.slice(0, at) + url + rest;
}
