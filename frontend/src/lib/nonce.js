/** The nonce of this page's Content-Security-Policy, for libraries that add style elements. */
import { setNonce } from "get-nonce";

const meta = document.querySelector('meta[property="csp-nonce"]');

/** Empty where the page came without one (the development server). */
export const nonce = (meta instanceof HTMLElement && meta.nonce) || meta?.getAttribute("nonce") || "";

if (nonce) setNonce(nonce);
