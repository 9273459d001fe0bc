// From opening a page to its first mask, the same for both libraries. The address says with what:
// ?model=nano&side=512&device=cpu. `window.firstMask` resolves to milliseconds since navigation, `window.loaded` once
// all is fetched, and `window.use()` works on as a visitor would.
import { syntheticPicture } from "./picture.js";

/** What a library can do once its model is loaded. */
export interface Ready {
  encode(rgba: Uint8ClampedArray<ArrayBuffer>): Promise<void>;
  /** Whether a click in a disc gives a mask. */
  click(): Promise<boolean>;
}

const address = new URLSearchParams(location.search);
export const asked = {
  model: address.get("model") ?? "nano",
  side: Number(address.get("side") ?? 512),
  device: (address.get("device") ?? "cpu") as "cpu" | "webgpu",
};

const PICTURES = 5;
const CLICKS = 8;

export function start(load: () => Promise<Ready>): void {
  const loading = load();
  // A visitor's picture is there before; here it is drawn while the model loads.
  const picture = syntheticPicture(asked.side);

  async function firstMask(): Promise<number> {
    const ready = await loading;
    await ready.encode(picture);
    if (!(await ready.click())) throw new Error("no mask came");
    return performance.now();
  }
  const first = firstMask();

  async function use(): Promise<void> {
    await first;
    const ready = await loading;
    for (let i = 0; i < PICTURES; i++) {
      await ready.encode(picture);
      for (let j = 0; j < CLICKS; j++) await ready.click();
    }
  }
  Object.assign(window, { firstMask: first, loaded: loading.then(() => performance.now()), use });
}
