import { Sam2Error } from "./errors.js";

// How a call ends before its work does:
//
//   the caller's signal ─────────┐
//   image.dispose()  ────────────┤
//   sam.dispose()  ──────────────┼──> until(): the caller's promise rejects at once, with the first reason
//   Link.end(): reload, dispose ─┘        (ABORTED, DISPOSED, DEVICE_LOST)
//
//   the caller's signal ──> connectWorker() posts { id, abort } ──> serve(): the call's own AbortController
//                                                                        │
//         Engine.call(): the call has not begun: it is dropped <─────────┤
//                        it waits between two steps: check() ends it <───┘
//                        it computes: it goes on, and what it gives is discarded; an image made too late is released
//
// A failure that ends the engine (a lost device, a trap, a worker that dies) rejects all calls under way with its reason, and
// resolves `sam.lost`.

/**
 * `work`, ended early when one of the signals fires. A result that still comes after that goes to `discard`,
 * since nobody else can free it.
 */
export function until<T>(
  work: Promise<T>,
  signals: readonly (AbortSignal | undefined)[],
  discard?: (late: T) => void,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    let ended = false;
    const live = signals.filter((signal) => signal !== undefined);
    const stop = (event: Event) => end(() => reject(reasonOf(event.target as AbortSignal)));
    const end = (settle: () => void) => {
      ended = true;
      for (const signal of live) signal.removeEventListener("abort", stop);
      settle();
    };
    for (const signal of live) signal.addEventListener("abort", stop);
    work.then(
      (value) => (ended ? discard?.(value) : end(() => resolve(value))),
      (error) => ended || end(() => reject(error)),
    );
    const fired = live.find((signal) => signal.aborted);
    if (fired) end(() => reject(reasonOf(fired)));
  });
}

/** Throws if one of the signals has fired. */
export function check(...signals: readonly (AbortSignal | undefined)[]): void {
  const fired = signals.find((signal) => signal?.aborted);
  if (fired) throw reasonOf(fired);
}

function reasonOf(signal: AbortSignal): Sam2Error {
  if (signal.reason instanceof Sam2Error) return signal.reason;
  return new Sam2Error("ABORTED", "The call was aborted by its signal.", { cause: signal.reason });
}
