import type { PropagateOptions, Video, VideoFrameMasks } from "sam2-web";
import { describe, expect, it } from "vitest";
import { Tracker } from "../src/video/tracker.js";

/** A clip of ten frames whose tracking can be followed; `failAt` is a frame that cannot be read. */
function clip(failAt?: number) {
  const asked: PropagateOptions[] = [];
  const video = {
    frameCount: 10,
    async *propagate(options: PropagateOptions) {
      asked.push(options);
      const step = options.direction === "backward" ? -1 : 1;
      for (let frame = options.from ?? 0; frame >= 0 && frame < 10; frame += step) {
        if (frame === failAt) throw new Error("cut off");
        yield { frame, timestamp: frame / 10, masks: [] } satisfies VideoFrameMasks;
      }
    },
  } as unknown as Video;
  return { video, asked };
}

function track(video: Video, pauseAt?: number) {
  const frames: number[] = [];
  const tracker: Tracker = new Tracker(video, async ({ frame }) => {
    frames.push(frame);
    if (frame === pauseAt) void tracker.pause();
  });
  return { tracker, frames };
}

describe("Tracker", () => {
  it("pauses after the frame at work and resumes with the next", async () => {
    const { video } = clip();
    const { tracker, frames } = track(video, 3);
    await tracker.track();
    expect(frames).toEqual([0, 1, 2, 3]);
    expect(tracker.running).toBe(false);
    expect(tracker.stopped).toEqual({ from: 4, direction: "forward" });
    await tracker.track();
    expect(frames).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(tracker.stopped).toBeUndefined();
  });

  it("goes on from a correction, and leaves no frame out between it and the pause", async () => {
    const { video, asked } = clip();
    const { tracker, frames } = track(video, 5);
    await tracker.track();
    tracker.edited(2);
    expect(tracker.stopped).toBeUndefined(); // so the button says Track, not Resume
    await tracker.track(); // 2 to 5, where it pauses again
    expect(asked.at(-1)?.from).toBe(2);
    tracker.edited(8);
    frames.length = 0;
    await tracker.track();
    expect(frames).toEqual([6, 7, 8, 9]);
  });

  it("tracks anew from the API's own start once all is done", async () => {
    const { video, asked } = clip();
    const { tracker } = track(video);
    await tracker.track();
    await tracker.track();
    expect(asked.map(({ from }) => from)).toEqual([undefined, undefined]);
  });

  it("tracks backwards to the first frame, and resumes backwards", async () => {
    const { video } = clip();
    const { tracker, frames } = track(video, 2);
    await tracker.track({ from: 4, direction: "backward" });
    expect(tracker.stopped).toEqual({ from: 1, direction: "backward" });
    await tracker.track();
    expect(frames).toEqual([4, 3, 2, 1, 0]);
  });

  it("passes an error on, and can try again from there", async () => {
    const { video } = clip(3);
    const { tracker, frames } = track(video);
    await expect(tracker.track()).rejects.toThrow("cut off");
    expect(frames).toEqual([0, 1, 2]);
    expect(tracker.running).toBe(false);
    expect(tracker.stopped).toEqual({ from: 3, direction: "forward" });
  });
});
