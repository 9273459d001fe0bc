// From opening the page to the first mask, as the package's README begins. The address says with what:
// ?model=nano&device=cpu. `window.firstMask` resolves to milliseconds since navigation, `window.loaded` once all is fetched.
import { Sam2 } from "sam2-web";
import { syntheticPicture } from "./picture.js";

const asked = new URLSearchParams(location.search);
const [model, device] = [asked.get("model") ?? "nano", (asked.get("device") ?? "cpu") as "cpu" | "webgpu"];

const loading = Sam2.load({ model: `models/${model}.safetensors`, device });

async function firstMask(): Promise<number> {
  const sam = await loading;
  const side = sam.model.imageSize;
  const image = await sam.setImage(new ImageData(syntheticPicture(side), side));
  const { masks } = await image.predict({ points: [{ x: 0.3 * side, y: 0.45 * side, label: 1 }] });
  if (!masks.some(({ area }) => area > 0)) throw new Error("no mask came");
  return performance.now();
}

Object.assign(window, { firstMask: firstMask(), loaded: loading.then(() => performance.now()) });
