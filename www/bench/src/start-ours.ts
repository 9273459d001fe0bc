// As the package's README begins; see start.ts.
import { type ImageEmbedding, Sam2 } from "sam2-web";
import { asked, start } from "./start.js";

start(async () => {
  const { model, side, device } = asked;
  const sam = await Sam2.load({ model: `models/${model}.safetensors`, device });
  let image: ImageEmbedding | undefined;
  return {
    async encode(rgba) {
      image?.dispose();
      image = await sam.setImage(new ImageData(rgba, side));
    },
    async click() {
      const prediction = await image?.predict({ points: [{ x: 0.3 * side, y: 0.45 * side, label: 1 }] });
      return prediction?.masks.some(({ area }) => area > 0) ?? false;
    },
  };
});
