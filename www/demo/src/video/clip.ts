import type { Box, Point, Sam2, Video, VideoFrameMasks } from "sam2-web";
import { byId } from "../dom.js";
import { download } from "../download.js";
import type { Mode } from "../mode.js";
import { milliseconds, showFacts } from "../panel.js";
import { Prompts } from "../prompts.js";
import { isLoss } from "../recovery.js";
import { markSample } from "../sources.js";
import type { Stage } from "../stage.js";
import { toast } from "../toast.js";
import { report, say } from "../words.js";
import { EffectChoice } from "./effect-choice.js";
import { type MasksToExport, toCoco, toPngs } from "./export-masks.js";
import { toVideo } from "./export-video.js";
import { type Known, Masks } from "./masks.js";
import { Objects, type TrackedObject } from "./objects.js";
import { Shapes } from "./shapes.js";
import { Timeline } from "./timeline.js";
import { type Track, Tracker } from "./tracker.js";
import { Viewer } from "./viewer.js";

export interface Clip {
  sam: Sam2;
  video: Video;
  file: Blob;
  /** Of the file, without its ending. */
  name: string;
  /** With it. */
  fileName: string;
  /** The sample it is, if it is one. */
  sample: HTMLElement | undefined;
}

/** A clip: clicks on any frame, objects followed through it, effects over them, and the result as a file. */
export class ClipMode implements Mode {
  readonly #sam: Sam2;
  readonly #video: Video;
  readonly #file: Blob;
  readonly #name: string;
  readonly #fileName: string;
  readonly #frameCount: number;
  readonly #stage: Stage;
  readonly #masks = new Masks();
  readonly #objects: Objects;
  readonly #tracker: Tracker;
  readonly #viewer: Viewer;
  readonly #timeline: Timeline;
  readonly #shapes: Shapes;
  readonly #effect: EffectChoice;
  /** What was clicked, by object and frame. */
  readonly #prompts = new Map<number, Map<number, Prompts>>();
  /** Objects and frames whose prompts the model has not seen yet. */
  readonly #changed = new Map<string, { frame: number; object: number }>();
  readonly #ended = new AbortController();
  #telling: Promise<void> | undefined;
  /** What the model was lost over: tracking, and objects that it has not been told to forget. */
  #interrupted: { track?: Partial<Track>; removed: number[] } = { removed: [] };
  /** Whether the stage shows each frame as it is tracked: until the visitor looks elsewhere. */
  #following = false;
  /** Since tracking was last started or resumed. */
  #run = { began: 0, frames: 0 };
  #exporting: AbortController | undefined;

  constructor(stage: Stage, { sam, video, file, name, fileName, sample }: Clip) {
    this.#sam = sam;
    this.#video = video;
    this.#file = file;
    this.#name = name;
    this.#fileName = fileName;
    this.#frameCount = video.frameCount ?? 0;
    this.#stage = stage;
    this.#objects = new Objects({
      selected: () => this.#showPrompts(),
      removed: (object) => void this.#remove(object),
      renamed: () => this.#timeline.repaint(),
    });
    this.#shapes = new Shapes(this.#masks, video, (id) => this.#objects.get(id)?.color);
    this.#tracker = new Tracker(video, (masks) => this.#found(masks));
    this.#viewer = new Viewer(video, this.#frameCount, (frame) => this.#shapes.at(frame), {
      shown: (frame) => this.#shown(frame),
      playing: () => this.#showState(),
      failed: report,
    });
    this.#effect = new EffectChoice((effect) => {
      this.#viewer.effect = effect;
      this.#viewer.repaint();
    });
    stage.setPicture(this.#viewer.canvas, { label: "Frame of the clip", arrowsWithShift: true });
    markSample(sample);
    this.#timeline = new Timeline({
      frameCount: this.#frameCount,
      ratio: video.width / video.height,
      masks: this.#masks,
      objects: () => this.#objects.all,
      prompted: (object) => this.#promptedFrames(object),
      thumbnail: (frame, width) => video.frameAt(frame, { width, signal: this.#ended.signal }),
      seek: (frame) => this.#look(frame),
    });
    this.#listen();
    showFacts({
      size: `${video.width} × ${video.height}`,
      step: "–",
    });
    this.#showState();
    say("Click a thing to follow it. Any frame will do.");
    const { framesLeftOut } = video;
    if (framesLeftOut)
      toast(
        `The clip was cut where no key frame is: its first ${framesLeftOut} ${framesLeftOut === 1 ? "frame" : "frames"} cannot be shown.`,
      );
    void this.#viewer.seek(0);
  }

  get state() {
    return {
      video: this.#video,
      frame: this.#viewer.frame,
      objects: this.#objects.all,
      masks: this.#masks,
      tracking: this.#tracker.running,
      playing: this.#viewer.isPlaying,
      exporting: this.#exporting !== undefined,
      busy: this.#telling !== undefined || this.#viewer.busy || this.#tracker.running,
    };
  }

  async recovered(): Promise<void> {
    const { track, removed } = this.#interrupted;
    this.#interrupted = { removed: [] };
    for (const object of removed) await this.#video.removeObject(object);
    const prompted = this.#objects.all.flatMap(({ id }) => this.#promptedFrames(id));
    // What tracking had remembered is gone, so it begins at the first click again.
    if (prompted.length) this.#tracker.edited(Math.min(...prompted));
    if (this.#changed.size) this.#startTelling();
    await this.#telling;
    if (track) void this.#track(track.direction === "backward" ? track : {});
  }

  close(): void {
    this.#ended.abort();
    this.#exporting?.abort();
    this.#tracker.close();
    this.#viewer.close();
    this.#timeline.close();
    this.#objects.close();
    this.#effect.close();
    this.#video.dispose();
    this.#stage.setPicture(undefined);
    this.#stage.show({ points: [] });
  }

  // Prompts

  point(point: Point): void {
    this.#prompt((prompts) => prompts.addPoint(point));
  }

  box(box: Box): void {
    this.#prompt((prompts) => prompts.setBox(box));
  }

  undo(): void {
    this.#change((prompts) => prompts.undo());
  }

  clear(): void {
    this.#change((prompts) => prompts.clear());
  }

  hover(): void {}

  #prompt(step: (prompts: Prompts) => void): void {
    if (!this.#objects.selected) this.#objects.add();
    this.#change(step);
  }

  /** Changes what is asked of the selected object on the frame on show. */
  #change(step: (prompts: Prompts) => void): void {
    const object = this.#objects.selected?.id;
    if (object === undefined) return;
    this.#viewer.pause();
    const { frame } = this.#viewer;
    const ofObject = this.#prompts.get(object) ?? new Map<number, Prompts>();
    this.#prompts.set(object, ofObject);
    const prompts = ofObject.get(frame) ?? new Prompts();
    ofObject.set(frame, prompts);
    const before = prompts.now;
    step(prompts);
    if (prompts.now === before) return;
    this.#following = false;
    this.#changed.set(`${object} ${frame}`, { frame, object });
    this.#showPrompts();
    this.#startTelling();
  }

  #startTelling(): void {
    this.#telling ??= this.#tell().finally(() => {
      this.#telling = undefined;
      this.#showState();
    });
  }

  /** Tells the model all that has changed, and shows what it makes of it. */
  async #tell(): Promise<void> {
    await this.#tracker.pause();
    byId("stage").classList.add("working");
    for (let next = first(this.#changed); next; next = first(this.#changed)) {
      const [key, { frame, object }] = next;
      this.#changed.delete(key);
      const prompts = this.#prompts.get(object)?.get(frame);
      if (!prompts || !this.#objects.get(object)) continue; // it has been removed meanwhile
      const { points, box } = prompts.now;
      const began = performance.now();
      try {
        if (!prompts.isEmpty) {
          await this.#keep(await this.#video.prompt({ frame, object, points, ...(box && { box }) }));
        } else if (this.#promptedFrames(object).length) {
          await this.#keep(await this.#video.clearPrompts(frame, object));
        } else {
          // An object of which nothing is said cannot be followed, and would keep the others from it.
          for (const masks of await this.#video.removeObject(object)) await this.#keep(masks);
          this.#masks.remove(object);
        }
        this.#tracker.edited(frame);
        showFacts({ step: milliseconds(performance.now() - began) });
        const found = this.#masks.at(frame)?.get(object)?.visible;
        if (prompts.isEmpty) say("Taken back.", true);
        else if (found) say("Press Track to follow it, or click what is missing.");
        else say("Nothing found there. Try another spot, or drag a box.");
      } catch (error) {
        if (await isLoss(this.#sam, error)) {
          this.#changed.set(key, { frame, object }); // It is told again once the model is back.
          break;
        }
        report(error);
        prompts.undo();
      }
      this.#showPrompts();
    }
    if (!this.#ended.signal.aborted) byId("stage").classList.remove("working");
  }

  async #remove(object: TrackedObject): Promise<void> {
    this.#prompts.delete(object.id);
    this.#masks.remove(object.id);
    this.#viewer.repaint();
    this.#showPrompts();
    try {
      await this.#tracker.pause();
      await this.#telling;
      for (const masks of await this.#video.removeObject(object.id)) await this.#keep(masks);
    } catch (error) {
      if (await isLoss(this.#sam, error)) this.#interrupted.removed.push(object.id);
      else report(error);
    }
    // A frame that was at work may have brought it back.
    this.#masks.remove(object.id);
    if (!this.#objects.all.length) this.#tracker.forget();
    this.#viewer.repaint();
    this.#showState();
  }

  #promptedFrames(object: number): number[] {
    const frames = [...(this.#prompts.get(object) ?? [])];
    return frames.filter(([, prompts]) => !prompts.isEmpty).map(([frame]) => frame);
  }

  // Tracking

  /** Starts, resumes or pauses. */
  async #track(track?: Partial<Track>): Promise<void> {
    if (this.#tracker.running) {
      const paused = this.#tracker.pause();
      this.#showState();
      await paused;
      return;
    }
    await this.#telling;
    this.#viewer.pause();
    this.#following = true;
    this.#run = { began: performance.now(), frames: 0 };
    try {
      const done = this.#tracker.track(track);
      this.#showState();
      say("Tracking…", true);
      await done;
      const { stopped } = this.#tracker;
      say(
        stopped ? "Paused. Correct any frame, or resume." : "Done. Choose an effect, or correct any frame.",
      );
    } catch (error) {
      if (await isLoss(this.#sam, error)) this.#interrupted.track = { ...track };
      else report(error);
    } finally {
      this.#showState();
    }
  }

  async #found(masks: VideoFrameMasks): Promise<void> {
    if (masks.unreadable) {
      toast(`${masks.unreadable.message} It is passed over.`);
      return;
    }
    await this.#keep(masks);
    if (this.#ended.signal.aborted) return;
    this.#run.frames++;
    showFacts({ step: milliseconds((performance.now() - this.#run.began) / this.#run.frames) });
    byId<HTMLProgressElement>("track-progress").value = (masks.frame + 1) / this.#frameCount;
    if (this.#following) void this.#viewer.seek(masks.frame);
    this.#showState();
  }

  /** Keeps a frame's masks, compressed. */
  async #keep({ frame, masks }: VideoFrameMasks): Promise<void> {
    const known = new Map<number, Known>();
    for (const { object, mask, visible } of masks)
      known.set(object, { counts: mask.toRle().counts, visible: visible && mask.area > 0 });
    this.#masks.set(frame, known);
    this.#timeline.repaint();
    if (frame === this.#viewer.frame) this.#viewer.repaint();
  }

  // What is shown

  /** Goes to a frame because the visitor wants to see it. */
  #look(frame: number): void {
    this.#following = false;
    void this.#viewer.seek(frame);
  }

  #step(frames: number): void {
    this.#following = false;
    void this.#viewer.step(frames);
  }

  #shown(frame: number): void {
    const seconds = this.#video.timestamp(frame).toFixed(2);
    byId("time").textContent = `${frame + 1} / ${this.#frameCount}`;
    byId("time").title = `${seconds} s`;
    this.#timeline.show(frame, `Frame ${frame + 1} of ${this.#frameCount}, ${seconds} seconds`);
    this.#showPrompts();
  }

  #showPrompts(): void {
    const object = this.#objects.selected?.id;
    const prompts = object === undefined ? undefined : this.#prompts.get(object)?.get(this.#viewer.frame);
    const { points, box } = prompts?.now ?? { points: [], box: undefined };
    this.#stage.show(this.#viewer.isPlaying ? { points: [] } : { points, box });
    byId<HTMLButtonElement>("undo").disabled = !prompts?.canUndo;
    byId<HTMLButtonElement>("clear").disabled = !prompts || prompts.isEmpty;
    this.#timeline.repaint();
    this.#showState();
  }

  #showState(): void {
    if (this.#ended.signal.aborted) return;
    const { running, pausing, stopped } = this.#tracker;
    const hasPrompts = this.#objects.all.some(({ id }) => this.#promptedFrames(id).length);
    const track = byId<HTMLButtonElement>("track");
    track.disabled = !hasPrompts || pausing;
    track.textContent = running ? (pausing ? "Pausing…" : "Pause") : stopped ? "Resume" : "Track";
    track.dataset.running = String(running);
    byId<HTMLButtonElement>("track-back").disabled = !hasPrompts || running;
    byId("track-progress").style.visibility = running ? "visible" : "hidden";
    const play = byId("play");
    play.dataset.playing = String(this.#viewer.isPlaying);
    play.ariaLabel = this.#viewer.isPlaying ? "Pause the preview" : "Play the preview";
    showFacts({ tracked: `${this.#masks.count} of ${this.#frameCount}` });
    const exporting = this.#exporting !== undefined;
    const button = byId<HTMLButtonElement>("export");
    button.disabled = !exporting && !this.#masks.count;
    byId("export-label").textContent = exporting ? "Cancel" : "Export";
    byId("export-progress").hidden = !exporting;
  }

  // Controls

  #listen(): void {
    const { signal } = this.#ended;
    const on = (id: string, act: () => void) => byId(id).addEventListener("click", act, { signal });
    on("play", () => this.#togglePlay());
    on("previous", () => this.#step(-1));
    on("next", () => this.#step(1));
    on("track", () => void this.#track());
    on("track-back", () => void this.#track({ from: this.#backFrom(), direction: "backward" }));
    on("add-object", () => {
      this.#objects.add();
      this.#timeline.repaint();
      say("Click the next thing.");
    });
    on("export", () => void this.#export());
  }

  #togglePlay(): void {
    this.#following = false;
    if (this.#viewer.isPlaying) this.#viewer.pause();
    else void this.#viewer.play();
    this.#showPrompts();
  }

  /** Backwards from the frame on show, if something is known of it, else from the first that was clicked. */
  #backFrom(): number {
    const { frame } = this.#viewer;
    if (this.#masks.at(frame)) return frame;
    return Math.min(...this.#objects.all.flatMap(({ id }) => this.#promptedFrames(id)));
  }

  key(event: KeyboardEvent): boolean {
    const at = event.target as HTMLElement;
    const typing = at.matches("input:not([type=radio]), select");
    const choosing = at.matches("input[type=radio], button");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return false;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && !at.matches("input[type=radio]")) this.#step(step);
    else if (event.key === "Home") this.#look(0);
    else if (event.key === "End") this.#look(this.#frameCount - 1);
    else if (event.key === " " && !choosing) this.#togglePlay();
    else if (event.key === "t") void this.#track();
    else if (event.key === "n") byId("add-object").click();
    else return false;
    return true;
  }

  // Export

  async #export(): Promise<void> {
    if (this.#exporting) {
      this.#exporting.abort();
      return;
    }
    const stretch = this.#masks.stretch;
    if (!stretch) return;
    const { value: format } = byId<HTMLSelectElement>("export-format");
    const exporting = new AbortController();
    const { signal } = exporting;
    this.#exporting = exporting;
    const bar = byId<HTMLProgressElement>("export-progress");
    bar.value = 0;
    const progress = (done: number) => {
      bar.value = done;
    };
    this.#showState();
    const masks: MasksToExport = {
      name: this.#fileName,
      width: this.#video.width,
      height: this.#video.height,
      frameCount: this.#frameCount,
      masks: this.#masks,
      objects: this.#objects.all,
      timestamp: (frame) => this.#video.timestamp(frame),
    };
    try {
      if (format === "rle") {
        const json = JSON.stringify(toCoco(masks));
        download(new Blob([json], { type: "application/json" }), `${this.#name}-masks.json`);
      } else if (format === "png") {
        download(await toPngs(masks, progress, signal), `${this.#name}-masks.zip`);
      } else {
        const container = format === "mp4" ? "mp4" : "webm";
        // Its own, so that the one on screen goes on serving the stage.
        const shapes = new Shapes(this.#masks, this.#video, (id) => this.#objects.get(id)?.color);
        const made = await toVideo(
          {
            video: this.#video,
            file: this.#file,
            stretch,
            shapes: (frame) => shapes.at(frame),
            effect: this.#viewer.effect,
            untracked: byId<HTMLSelectElement>("untracked").value === "whole" ? "whole" : "empty",
          },
          container,
          progress,
          signal,
        );
        download(made.file, `${this.#name}-${this.#viewer.effect.name}.${container}`);
        if (made.lostSound)
          toast("This browser cannot bring the clip's sound into this format: the file has none.");
      }
    } catch (error) {
      if (!signal.aborted) report(error);
    } finally {
      this.#exporting = undefined;
      this.#showState();
    }
  }
}

function first<K, V>(map: ReadonlyMap<K, V>): [K, V] | undefined {
  return map.entries().next().value;
}
