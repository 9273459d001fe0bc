/** A PNG of 12 bits, which is read in a worker of its own. */
const DEEP =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAKAAAAB4EAAAAAAAWXrwAAABFUlEQVR42u3bwRWCQBBEwbl4MP/oDMA8jED0iUA31PsZ1HGnd25PrWkQAAQIEKAAAgQIUAABAgQogAABAhRAgAABCiBAgAAFECBAgAIIECBAAQQIEKAAAgQIUAABAgQIUC2A98e7AP5M1844KXitiJOE14g4eXxdhJPI10Q4mXw9hJPK10I4uXwdhJPM10A42Xz5hACzAP/Pl04IMAlwG75sQoAATwO4HV8yIUCAAAECBAgQIECAAAECBAjQawxAgFcFdBMB6C4M8OqAtjHWWfaBFqoWqusJO/is9LMB/RM5ALEJbyfA7xHb8HYE/MTYSHcA4BkDCBAgQIACCBAgQAEECBCgAAIECFAAAQIEKIAAAQLUQi84qloVUse1DQAAAABJRU5ErkJggg==";

/** What a page does with a model: a click on a disc, a picture for the picture worker, and a file for the video worker. */
export async function tryAll(sam) {
  const [width, height] = [320, 240];
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const onDisc = (x - 160) ** 2 + (y - 120) ** 2 < 60 ** 2;
      data.set(onDisc ? [200, 30, 30, 255] : [30, 90, 60, 255], (y * width + x) * 4);
    }
  }
  const image = await sam.setImage({ data, width, height });
  const { masks } = await image.predict({ points: [{ x: 160, y: 120, label: 1 }] });
  const { area, box } = masks.reduce((a, b) => (b.score > a.score ? b : a));

  const deep = await sam.setImage(await (await fetch(DEEP)).blob());
  const video = await sam.openVideo(new Blob(["no video"])).then(
    () => "opened",
    (error) => error.code,
  );
  return { device: sam.device, area, box, deep: [deep.width, deep.height], video };
}

/** Leaves what comes of it for the test. */
export function leave(work) {
  globalThis.outcome = work.catch(({ code, message, stack }) => ({ code, message, stack }));
}
