/** The state whose colour and icon each kind of notice has. @type {Record<import("../../live/notices").Kind, string>} */
export const NOTICE_STATE = { connected: "online", disconnected: "offline", pending: "pending" };
