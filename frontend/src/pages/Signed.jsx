/** Everything a signed-in user sees stands in this frame. */
export { Frame as Signed } from "../features/frame/Frame";
