/** Line icons on a 24 grid. Always beside words or in a labelled button, so hidden from assistive technology. */
const PATHS = {
  plus: "M12 5v14M5 12h14",
  search: "M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13zM15.5 15.5L20 20",
  check: "M5 12.5l4.5 4.5L19 7.5",
  cross: "M6 6l12 12M18 6L6 18",
  dash: "M7 12h10",
  copy: "M9 9h10v11H9zM5 15V4h10",
  back: "M19 12H5M11 6l-6 6 6 6",
  sun: "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
  screen: "M3 5h18v11H3zM9 20h6M12 16v4",
  qr: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h2v2h-2zM18 18h2v2h-2zM18 14h2M14 18v2",
  send: "M21 3L10 14M21 3l-7 18-4-7-7-4z",
  alert: "M12 4l9 16H3zM12 10v4M12 17v.01",
  key: "M14.5 4a5.5 5.5 0 1 1-4.4 8.8L4 19v1h3v-2h2v-2h2l1-1.3M15.5 8.5v.01",
  megaphone: "M4 10v4h3l8 5V5L7 10zM18.5 9a4 4 0 0 1 0 6",
  person: "M12 4a3.8 3.8 0 1 1 0 7.6A3.8 3.8 0 0 1 12 4zM4.5 20a7.5 7.5 0 0 1 15 0",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  unlock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 6.8-1.2",
  pause: "M9 6v12M15 6v12",
  play: "M8 5.5v13l10-6.5z",
  clock: "M12 3.5a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17zM12 7.5V12l3 2",
  refund: "M4 9h10a5 5 0 0 1 0 10H9M8 5L4 9l4 4",
  dispute: "M6 21V4M6 5h12l-3 4 3 4H6",
  receipt: "M6 3v18l2-1.5 2 1.5 2-1.5 2 1.5 2-1.5 2 1.5V3zM9.5 8h5M9.5 12h5",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg
      aria-hidden="true"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.9"
      strokeLinecap="round"
      strokeLinejoin="round"
      style={{ flexShrink: 0 }}
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
