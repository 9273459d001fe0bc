import { Sam2Error } from "./errors.js";
import type { CallContext, Calls, Connection, Method } from "./protocol.js";
import { until } from "./until.js";

/** The way to a model's engine for all that is made with the model; a reload lays it to another engine. */
export class Link {
  #connection: Connection;
  #replaced = new AbortController();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async call<M extends Method>(
    method: M,
    args: Calls[M]["args"],
    context?: CallContext,
    transfer?: Transferable[],
  ): Promise<Calls[M]["result"]> {
    // A connection that was closed never answers.
    return until(this.#connection.call(method, args, context, transfer), [this.#replaced.signal]);
  }

  /** Ends the engine and all calls under way. */
  end(reason: Sam2Error): void {
    this.#replaced.abort(reason);
    this.#connection.close();
  }

  replace(connection: Connection): void {
    this.#connection = connection;
    this.#replaced = new AbortController();
  }
}

/** The reason for which calls under way end where the model is reloaded. */
export function reloaded(): Sam2Error {
  return new Sam2Error("DEVICE_LOST", "The model was reloaded meanwhile. Call again.");
}
