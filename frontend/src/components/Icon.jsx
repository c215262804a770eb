/** Every icon, drawn here. Icons say nothing to screen readers: the word beside them does. */

/** Strokes on a grid of 16. @type {Record<string, import("react").ReactNode>} */
const SHAPES = {
  online: <circle cx="8" cy="8" r="5" fill="currentColor" stroke="none" />,
  offline: <circle cx="8" cy="8" r="4.5" />,
  unknown: <circle cx="8" cy="8" r="4.5" strokeDasharray="1.8 2.1" />,
  pending: (
    <>
      <circle cx="8" cy="8" r="4.75" />
      <path d="M8 8V3.25A4.75 4.75 0 0 1 12.75 8Z" fill="currentColor" stroke="none" />
    </>
  ),
  quarantined: <path d="M8 2.5 14 13.2H2ZM8 6.5v3M8 11.2v.1" />,
  unverified: <path d="M6 6.2a2 2 0 1 1 2.9 1.8c-.6.3-.9.7-.9 1.4M8 11.6v.1" />,
  trusted: <path d="m3.5 8.5 3 3 6-7" />,
  record: <path d="M3.500 2.500h9v11h-9zM5.800 5.500h4.400M5.800 8h4.400M5.800 10.500h2.500" />,
  devices: <path d="M2.5 3.5h11v7h-11zM6 13.5h4M8 10.5v3" />,
  settings: <path d="M2.5 5h6m3.5 0h1.5M2.5 11H4m3.5 0h6M10.2 3.3v3.4M5.8 9.3v3.4" />,
  search: <path d="M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM10.3 10.3l3.2 3.2" />,
  bell: <path d="M4 11V7.2a4 4 0 0 1 8 0V11l1 1.2H3ZM6.7 14h2.6" />,
  sun: (
    <path d="M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6ZM8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9" />
  ),
  moon: <path d="M13 9.8A5.5 5.5 0 0 1 6.2 3a5.5 5.5 0 1 0 6.8 6.8Z" />,
  auto: (
    <>
      <circle cx="8" cy="8" r="5.5" />
      <path d="M8 2.5a5.5 5.5 0 0 1 0 11Z" fill="currentColor" stroke="none" />
    </>
  ),
  person: <path d="M8 8a2.6 2.6 0 1 0 0-5.2A2.6 2.6 0 0 0 8 8ZM3 13.5c.5-2.4 2.5-3.7 5-3.7s4.5 1.3 5 3.7" />,
  plus: <path d="M8 3v10M3 8h10" />,
  close: <path d="m4 4 8 8M12 4l-8 8" />,
  up: <path d="m4 9.5 4-4 4 4" />,
  down: <path d="m4 6.5 4 4 4-4" />,
  left: <path d="m9.5 4-4 4 4 4" />,
  right: <path d="m6.5 4 4 4-4 4" />,
  columns: <path d="M2.5 3.500h11v9h-11zM6.2 3.500v9M9.8 3.500v9" />,
  bookmark: <path d="M4.5 2.500h7v11L8 10.700l-3.5 2.800Z" />,
  copy: <path d="M5.5 5.500h8v8h-8zM10.5 5.500v-3h-8v8h3" />,
  tag: <path d="M2.5 2.500h5l6 6-5 5-6-6ZM5.4 5.400v.1" />,
  trash: <path d="M2.5 4.500h11M6 4.500v-2h4v2M4 4.500l.6 9h6.800l.6-9" />,
  pencil: <path d="m3 13 .6-2.800L11 2.800l2.2 2.2-7.4 7.400Z" />,
  link: (
    <path d="M6.5 9.500l3-3M7 4.700l1.6-1.600a2.8 2.8 0 0 1 4 4L11 8.700M9 11.300l-1.6 1.600a2.8 2.8 0 0 1-4-4L5 7.3" />
  ),
  unlink: (
    <path d="M7 4.700l1.6-1.600a2.8 2.8 0 0 1 4 4L11 8.700M9 11.300l-1.6 1.600a2.8 2.8 0 0 1-4-4L5 7.300M2.5 2.500l11 11" />
  ),
  sync: (
    <path d="M13 6.500A5.2 5.2 0 0 0 3.6 5M3 9.500a5.2 5.2 0 0 0 9.4 1.500M3.3 2.500V5h2.500M12.7 13.500V11h-2.5" />
  ),
  help: (
    <path d="M6 6.200a2 2 0 1 1 2.9 1.800c-.6.3-.9.7-.9 1.400M8 11.600v.1M8 14.200A6.2 6.2 0 1 0 8 1.800a6.2 6.2 0 0 0 0 12.400Z" />
  ),
  filter: <path d="M2.5 3.500h11L9.5 8.500v4l-3 1v-5Z" />,
  more: <path d="M3.5 8h.1M8 8h.1M12.4 8h.1" />,
  play: <path d="M5 3.200v9.600l8-4.800Z" />,
  stop: (
    <path d="M8 14.200A6.2 6.2 0 1 0 8 1.800a6.2 6.2 0 0 0 0 12.400ZM5.800 5.800l4.400 4.400M10.200 5.800l-4.400 4.400" />
  ),
  clock: <path d="M8 14.200A6.2 6.2 0 1 0 8 1.800a6.2 6.2 0 0 0 0 12.400ZM8 4.500V8l2.400 1.600" />,
  download: <path d="M8 2.500v7.500M4.800 7 8 10.200 11.200 7M3 13.500h10" />,
  pause: <path d="M5.500 3.500v9M10.500 3.500v9" />,
  undo: <path d="M3 6.500h6.500a3.500 3.500 0 0 1 0 7H6M5.700 3.800 3 6.500l2.700 2.700" />,
  forward: <path d="m3 4 4 4-4 4ZM9 4l4 4-4 4Z" />,
  upload: <path d="M8 10.200V2.700M4.800 5.700 8 2.500l3.200 3.200M3 13.500h10" />,
  box: <path d="m8 2 5.500 2.800v6.400L8 14l-5.500-2.800V4.800ZM2.700 4.900 8 7.600l5.300-2.700M8 7.600V14" />,
  key: <path d="M5.500 13a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5ZM7.300 8.700 13 3M10.500 5.500l2 2" />,
  deploy: <path d="M2.500 8h2M6.500 5v6M10 3.500v9M13.500 2v12" />,
  terminal: <path d="M2 3h12v10H2ZM4.500 6l2 2-2 2M8.200 10.300h3" />,
  out: <path d="M6.5 2.500h-4v11h4M10 5l3 3-3 3M13 8H6" />,
};

/** @param {{ name: string, size?: number, className?: string }} props */
export function Icon({ name, size = 16, className }) {
  return (
    <svg
      className={className}
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {SHAPES[name]}
    </svg>
  );
}
