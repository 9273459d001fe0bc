import { Sam2 } from "sam2-web";
import "sam2-web-nano";
import { leave } from "../try-all.js";

async function segment(picture) {
  const sam = await Sam2.load({ device: "cpu" });
  const image = await sam.setImage(picture);
  const { masks } = await image.predict({ points: [{ x: 32, y: 32, label: 1 }] });
  return { masks: masks.length, width: masks[0].width };
}

leave(segment(new ImageData(64, 64)));
