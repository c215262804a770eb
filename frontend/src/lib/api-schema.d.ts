// Replaced by `npm run types`.
export type paths = any;
