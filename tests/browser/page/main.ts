// Puts the package, and what the specs share, where page.evaluate finds it.
import "sam2-web/element";
import { tools } from "./tools.js";
import { clips } from "./video.js";

declare global {
  interface Window {
    tools: typeof tools;
    clips: typeof clips;
  }
}
window.tools = tools;
window.clips = clips;
