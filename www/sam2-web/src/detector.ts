import { absolute, addressOf } from "./address.js";
import { connectWorker } from "./connect.js";
import type { DetectorCalls, Search } from "./detector-engine.js";
import { DISPOSE } from "./dispose.js";
import { fromPlain, Sam2Error } from "./errors.js";
import type { FoundObject } from "./finding.js";
import { transferOf } from "./frame-source.js";
import { Link } from "./link.js";
import { configOf } from "./model-config.js";
import type { Connection, FramePicture, RemoteWeights, WeightsSource } from "./protocol.js";
import { lossOf, runsInWorker, type StartedOn, startOn } from "./start.js";
import type { DetectorInfo, LoadDetectorOptions, Precision } from "./types.js";
import { check, until } from "./until.js";
import { weightsSource } from "./weights-source.js";
import { startWorker } from "./worker-script.js";

/** Frees the features of images that were dropped without `dispose`. */
const dropped = new FinalizationRegistry<{ link: Link<DetectorCalls>; image: number }>(({ link, image }) => {
  link.call("release", { image }).catch(() => {});
});

/** A box of what was found. */
export type Detected = Pick<FoundObject, "label" | "score" | "box">;

/** A detector, loaded and ready: what {@link ImageEmbedding.find} and {@link ImageEmbedding.findLike} ask. */
export class Detector {
  readonly #started: StartedOn<DetectorCalls>;
  readonly #link: Link<DetectorCalls>;
  readonly #disposed = new AbortController();
  /** What it knows of images, each of which it encodes once. */
  #seen = new WeakMap<object, Promise<number>>();
  /** Resolves with the reason once it cannot go on; load another one then. Stays pending when it is disposed of. */
  readonly lost: Promise<Sam2Error>;

  private constructor(started: StartedOn<DetectorCalls>) {
    this.#started = started;
    this.#link = new Link(started.connection);
    this.lost = lossOf(started.connection);
  }

  /** @internal */
  static async load(options: LoadDetectorOptions): Promise<Detector> {
    return new Detector(await start(options));
  }

  /** Where it runs: `"webgpu"` or `"cpu"`. */
  get device(): "webgpu" | "cpu" {
    return this.#started.device;
  }

  /** The GPU's description, or `"cpu"`. */
  get adapter(): string {
    return this.#started.loaded.device;
  }

  get model(): DetectorInfo {
    const { imageSize, parameters } = this.#started.loaded;
    return { imageSize, parameters };
  }

  /** What matrices are multiplied in. */
  get precision(): Precision {
    return this.#started.loaded.precision;
  }

  /** Why `device: "auto"` went on to the CPU although there is a GPU. */
  get fallback(): Sam2Error | undefined {
    return this.#started.fallback;
  }

  /** Why its files were not kept for the next visit although they should be: `QUOTA_EXCEEDED`. */
  get notKept(): Sam2Error | undefined {
    const { notKept } = this.#started.loaded;
    return notKept && fromPlain(notKept);
  }

  /**
   * What is found in the picture of an image, the best first. The picture is asked for the first time only.
   *
   * @internal
   */
  async find(
    image: object,
    picture: () => Promise<FramePicture>,
    { query, names, options }: Search,
    signals: readonly (AbortSignal | undefined)[],
  ): Promise<Detected[]> {
    const gone = [...signals, this.#disposed.signal];
    check(...gone);
    let seen = this.#seen.get(image);
    if (!seen) {
      // Without the caller's signal: another query may wait for the same.
      seen = picture().then(async (picture) => {
        const { image: id } = await this.#link.call("setImage", { picture }, {}, transferOf(picture));
        dropped.register(image, { link: this.#link, image: id }, image);
        return id;
      });
      this.#seen.set(image, seen);
      // Another query tries again.
      seen.catch(() => this.#seen.delete(image));
    }
    const id = await until(seen, gone);
    const finding = this.#link.call("find", { image: id, query, options }, { signal: signals[0] });
    const found = await until(finding, gone);
    return found.map(({ label, score, box }) => ({ label: names[label] ?? "", score, box }));
  }

  /** Frees what it knows of an image. @internal */
  forget(image: object): void {
    const seen = this.#seen.get(image);
    this.#seen.delete(image);
    dropped.unregister(image);
    seen?.then((image) => this.#link.call("release", { image })).catch(() => {});
  }

  /** Frees the detector and its worker. Calls under way and later ones reject with `DISPOSED`. */
  dispose(): void {
    if (this.#disposed.signal.aborted) return;
    const reason = new Sam2Error("DISPOSED", "The detector has been disposed of. Call loadDetector again.");
    this.#disposed.abort(reason);
    this.#seen = new WeakMap();
    this.#link.end(reason);
  }

  [DISPOSE](): void {
    this.dispose();
  }
}

async function start(options: LoadDetectorOptions): Promise<StartedOn<DetectorCalls>> {
  const { signal } = options;
  return startOn<DetectorCalls>(options, {
    wasm: "owlv2_web_bg.wasm",
    connect: (device) => connect(device, options),
    args: async () => {
      const weights = await until(sourceOf("model", options.model, options), [signal]);
      const vocabulary = await until(
        sourceOf("vocabulary", options.vocabulary ?? besides(weights), options),
        [signal],
      );
      return { weights, vocabulary, ...(await configOf(options)) };
    },
  });
}

/** The file's own, or the one beside it. */
async function sourceOf(
  name: "model" | "vocabulary",
  given: LoadDetectorOptions["vocabulary"],
  { cache, requestInit }: LoadDetectorOptions,
): Promise<WeightsSource> {
  if (given === undefined) {
    throw new Sam2Error(
      "UNSUPPORTED_INPUT",
      name === "model"
        ? "loadDetector needs model: the URL or the file of OWLv2's model.safetensors, such as your copy of " +
            "google/owlv2-base-patch16-ensemble's."
        : "loadDetector needs vocabulary: the merges.txt of the same model, as a URL or a file. Beside a URL it is found " +
            "without.",
    );
  }
  const model = typeof given === "string" ? absolute(given) : given;
  const common = { ...(cache && { cache }), ...(requestInit && { requestInit }) };
  return weightsSource({ model, ...common });
}

/** merges.txt in the same folder. */
function besides(weights: WeightsSource): URL | undefined {
  return "url" in weights ? new URL("merges.txt", (weights as RemoteWeights).url) : undefined;
}

// As in sam2.ts: written out as bundlers recognise it.
async function connect(
  device: "webgpu" | "cpu",
  options: LoadDetectorOptions,
): Promise<Connection<DetectorCalls>> {
  if (!runsInWorker(options)) {
    const [{ DetectorEngine }, { newWasm }] = await Promise.all([
      import("./detector-engine.js"),
      device === "webgpu" ? import("./wasm-detector-webgpu.js") : import("./wasm-detector-cpu.js"),
    ]);
    const engine = new DetectorEngine(newWasm());
    return {
      call: (method, args, context) => engine.call(method, args, context),
      close: () => engine.close(),
    };
  }
  const worker = startWorker(
    () =>
      device === "webgpu"
        ? new Worker(new URL("./worker-detector-webgpu.js", import.meta.url), { type: "module" })
        : new Worker(new URL("./worker-detector-cpu.js", import.meta.url), { type: "module" }),
    addressOf(options.workerUrl, device, `worker-detector-${device}.js`),
  );
  return connectWorker<DetectorCalls>(worker, "Call loadDetector again.");
}
