import type { Mask } from "sam2-web";

/** Side in pixels above which a mask is shown smaller than it is. */
const MAX_SIDE = 2048;

/** The mask as a white shape, for the overlay to tint and outline. */
export async function silhouette(mask: Mask): Promise<ImageBitmap> {
  const image = mask.toImageData({ color: [255, 255, 255], alpha: 1 });
  const scale = MAX_SIDE / Math.max(image.width, image.height);
  if (scale >= 1) return createImageBitmap(image);
  return createImageBitmap(image, {
    resizeWidth: Math.max(1, Math.round(image.width * scale)),
    resizeHeight: Math.max(1, Math.round(image.height * scale)),
    resizeQuality: "medium",
  });
}

/** Paints `shape` over the whole canvas: a tint, and a crisp line around it whatever the mask's resolution. */
export function paintShape(
  context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D,
  shape: ImageBitmap | OffscreenCanvas,
  style: { color: string; fill: number; line: string; lineWidth: number },
): void {
  const { width, height } = context.canvas;
  const scale = width / shape.width;
  const inside = layer(width, height, (c) => {
    // Rounds off the stairs that a small mask's pixels make when it is shown enlarged.
    if (scale > 1) c.filter = `blur(${scale * 0.6}px)`;
    c.drawImage(shape, 0, 0, width, height);
    c.filter = "none";
    c.globalCompositeOperation = "source-in";
    c.fillStyle = style.color;
    c.fillRect(0, 0, width, height);
  });
  const ring = layer(width, height, (c) => {
    for (let turn = 0; turn < 12; turn++) {
      const angle = (turn / 12) * 2 * Math.PI;
      c.drawImage(inside, Math.cos(angle) * style.lineWidth, Math.sin(angle) * style.lineWidth);
    }
    c.globalCompositeOperation = "destination-out";
    c.drawImage(inside, 0, 0);
    c.globalCompositeOperation = "source-in";
    c.fillStyle = style.line;
    c.fillRect(0, 0, width, height);
  });
  context.globalAlpha = style.fill;
  context.drawImage(inside, 0, 0);
  context.globalAlpha = 1;
  context.drawImage(ring, 0, 0);
}

function layer(
  width: number,
  height: number,
  draw: (context: OffscreenCanvasRenderingContext2D) => void,
): OffscreenCanvas {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  if (context) draw(context);
  return canvas;
}
