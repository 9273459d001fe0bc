import { Sam2Error } from "./errors.js";
import type { CallContext, Calls, CallTable, Connection } from "./protocol.js";
import { until } from "./until.js";

/** Ends the engines of models that were dropped without `dispose`. */
const dropped = new FinalizationRegistry<{ connection: { close(): void } }>((engine) =>
  engine.connection.close(),
);

/** The way to a model's engine for all that is made with the model; a reload lays it to another engine. */
export class Link<C extends CallTable<keyof C & string> = Calls> {
  readonly #engine: { connection: Connection<C> };
  #replaced = new AbortController();

  constructor(connection: Connection<C>) {
    this.#engine = { connection };
    dropped.register(this, this.#engine, this);
  }

  async call<M extends keyof C & string>(
    method: M,
    args: C[M]["args"],
    context?: CallContext,
    transfer?: Transferable[],
  ): Promise<C[M]["result"]> {
    // A connection that was closed never answers.
    return until(this.#engine.connection.call(method, args, context, transfer), [this.#replaced.signal]);
  }

  /** Ends the engine and all calls under way. */
  end(reason: Sam2Error): void {
    this.#replaced.abort(reason);
    this.#engine.connection.close();
    dropped.unregister(this);
  }

  replace(connection: Connection<C>): void {
    this.#engine.connection = connection;
    dropped.register(this, this.#engine, this);
    this.#replaced = new AbortController();
  }
}

/** The reason for which calls under way end where the model is reloaded. */
export function reloaded(): Sam2Error {
  return new Sam2Error("DEVICE_LOST", "The model was reloaded meanwhile. Call again.");
}
