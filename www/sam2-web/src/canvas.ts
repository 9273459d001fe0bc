import { checkNumber } from "./check-number.js";
import { Sam2Error } from "./errors.js";

export function canvas2d(width: number, height: number): OffscreenCanvasRenderingContext2D {
  const context = new OffscreenCanvas(width, height).getContext("2d", {
    colorSpace: "srgb",
    willReadFrequently: true,
  });
  if (!context) {
    throw new Sam2Error(
      "OUT_OF_MEMORY",
      `The browser refused a canvas of ${width} x ${height} pixels. Use a smaller picture.`,
    );
  }
  return context;
}

/** A picture file of the type. `quality`, 0 to 1, is for types with losses. */
export async function encodePicture(image: ImageData, type: string, quality?: number): Promise<Blob> {
  if (quality !== undefined) checkNumber("quality", quality, 0, 1);
  const context = canvas2d(image.width, image.height);
  context.putImageData(image, 0, 0);
  const file = await context.canvas
    .convertToBlob({ type, ...(quality !== undefined && { quality }) })
    .catch((cause) => {
      throw new Sam2Error(
        "UNSUPPORTED_INPUT",
        `This browser does not write ${type} files of ${image.width} x ${image.height} pixels. Take "image/png".`,
        { cause },
      );
    });
  // What a browser does not write comes as PNG.
  if (file.type !== type)
    throw new Sam2Error("UNSUPPORTED_INPUT", `This browser does not write ${type} files. Take "image/png".`);
  return file;
}
