import type { Sam2 } from "sam2-web";
import type { Mode } from "../mode.js";
import type { Opened } from "../sources.js";
import type { Stage } from "../stage.js";
import { CameraMode, KEEP_FRAMES, openCamera } from "./camera.js";
import { ClipMode } from "./clip.js";

/** Opens a clip or the camera; calling the answer gives it the stage. */
export async function openVideo(
  what: Exclude<Opened, { kind: "picture" }>,
  sam: Sam2,
  stage: Stage,
  signal: AbortSignal,
): Promise<() => Mode> {
  if (what.kind === "clip") {
    const file = await what.file;
    const video = await sam.openVideo(file, { signal });
    const name = what.name.replace(/\.\w+$/, "") || "clip";
    return () => new ClipMode(stage, { sam, video, file, name, fileName: what.name, sample: what.sample });
  }
  const stream = await openCamera();
  try {
    const video = await sam.openVideo(stream, { signal, keepFrames: KEEP_FRAMES });
    return () => new CameraMode(stage, sam, video, stream);
  } catch (error) {
    for (const track of stream.getTracks()) track.stop();
    throw error;
  }
}
