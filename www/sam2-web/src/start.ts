import { addressOf } from "./address.js";
import { chooseDevices } from "./device.js";
import type { Source } from "./engine-core.js";
import { fromPlain, Sam2Error, type Sam2ErrorCode, toSam2Error } from "./errors.js";
import { packageFile } from "./file-url.js";
import type { CallTable, Connection, CoreCalls, RemoteWeights, WeightsSource } from "./protocol.js";
import { readWeights } from "./read-weights.js";
import type { LoadOptions } from "./types.js";
import { check, until } from "./until.js";

/** What an engine that can be started answers. */
export interface StartCalls extends CoreCalls {
  load: { args: Source; result: unknown };
}

/** A network on a device. */
export interface StartedOn<C extends CallTable<keyof C & string> & StartCalls> {
  connection: Connection<C>;
  device: "webgpu" | "cpu";
  loaded: C["load"]["result"];
  fallback: Sam2Error | undefined;
}

/** What differs from one kind of network to another. */
export interface Kind<C extends CallTable<keyof C & string> & StartCalls> {
  /** The name of the wasm module's file, in the folder of the device. */
  wasm: string;
  connect(device: "webgpu" | "cpu"): Promise<Connection<C>>;
  /** The arguments of `load` besides those that the device decides. */
  args(): Promise<Omit<C["load"]["args"], "precision" | "wasmUrl"> & { weights: WeightsSource }>;
}

/** The options of a load that do not depend on what is loaded. */
export type StartOptions = Pick<
  LoadOptions,
  "device" | "precision" | "wasmUrl" | "fetch" | "onProgress" | "signal"
>;

/** Loads a network on the first of the devices that can run it. */
export async function startOn<C extends CallTable<keyof C & string> & StartCalls>(
  options: StartOptions,
  kind: Kind<C>,
): Promise<StartedOn<C>> {
  const { device = "auto", precision = "f32", signal, onProgress } = options;
  check(signal);
  if (precision !== "f32" && precision !== "f16")
    throw new Sam2Error("UNSUPPORTED_INPUT", `precision must be "f32" or "f16", not "${precision}".`);
  const given = await kind.args();
  let { weights } = given;
  if (options.fetch && "url" in weights) weights = await until(fetchHere(weights, options), [signal]);
  const devices = await until(chooseDevices(device), [signal]);
  let fallback: Sam2Error | undefined;
  for (const [index, chosen] of devices.entries()) {
    const wasmFile = `${chosen}/${kind.wasm}`;
    const wasmUrl = addressOf(options.wasmUrl, chosen, wasmFile) ?? packageFile(`wasm/${wasmFile}`);
    const connection = await kind.connect(chosen);
    try {
      const context = { signal, onProgress: muted(onProgress, signal) };
      const args = { ...given, weights, precision, ...(wasmUrl && { wasmUrl }) } as C["load"]["args"];
      const loaded = await until(connection.call("load", args, context), [signal]);
      return { connection, device: chosen, loaded, fallback };
    } catch (error) {
      if (!(index + 1 < devices.length && isOfTheEngine(error))) {
        connection.close();
        throw error;
      }
      fallback = error;
      // Nobody should download a file twice because of a driver.
      const bytes = await connection.call("takeWeights", {}).catch(() => undefined);
      if (bytes && "url" in weights) weights = { ...weights, bytes };
      connection.close();
    }
  }
  throw new Sam2Error("DEVICE_UNAVAILABLE", "No device could run the model.");
}

/** By the caller's own function, which cannot go to a worker. */
export async function fetchHere(source: RemoteWeights, options: StartOptions): Promise<RemoteWeights> {
  const { fetch, signal, onProgress } = options;
  const { bytes } = await readWeights(source, { fetch, signal, onProgress: muted(onProgress, signal) });
  const { buffer, byteOffset, byteLength } = bytes;
  return { ...source, bytes: buffer.slice(byteOffset, byteOffset + byteLength) };
}

/** The reason for which an engine stops; pending while it goes on, and when it is closed. */
export function lossOf<C extends CallTable<keyof C & string> & StartCalls>(
  connection: Connection<C>,
): Promise<Sam2Error> {
  // A worker that dies tells of nothing: what is pending then is rejected.
  return connection.call("lost", {}).then(fromPlain, toSam2Error);
}

export function runsInWorker({
  worker = typeof Worker !== "undefined",
}: Pick<LoadOptions, "worker">): boolean {
  return worker;
}

/** Silent once the load was aborted. What the page's own function throws is the page's, and does not end the load. */
export function muted(
  onProgress: LoadOptions["onProgress"],
  signal?: AbortSignal,
): LoadOptions["onProgress"] {
  return (
    onProgress &&
    ((progress) => {
      if (signal?.aborted) return;
      try {
        onProgress(progress);
      } catch (error) {
        globalThis.reportError?.(error);
      }
    })
  );
}

/** Faults of a GPU, its driver or the engine, which another device may not share. */
export function isOfTheEngine(error: unknown): error is Sam2Error {
  const codes: readonly Sam2ErrorCode[] = ["DEVICE_UNAVAILABLE", "DEVICE_LOST", "OUT_OF_MEMORY", "INTERNAL"];
  return error instanceof Sam2Error && codes.includes(error.code);
}
