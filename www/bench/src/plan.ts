// What is measured, and what a measurement says.
import type { Row } from "./rows.js";
import type { Device } from "./side.js";

export interface Plan {
  devices: Device[];
  models: string[];
  /** Milliseconds spent on a row once both sides are warm; at least `least` turns each, in any case. */
  budgetMs: number;
  least: number;
  /** On a software adapter, also runs what it counts: half an hour and more. */
  slow: boolean;
}

/** As export_onnx.py writes it. */
export interface Manifest {
  [model: string]: {
    side: number;
    memories: number;
    pointers: number;
    gflop: { encode: number; decode: number; decode64: number; track: number };
  };
}

export interface Conditions {
  userAgent: string;
  cores: number;
  adapter: string | null;
  /** Whether that is no GPU but a program. */
  software: boolean;
  /** GFLOP/s of a plain matrix product on the adapter. */
  matmul: number | null;
  /** Greatest difference of logits between the two, by model and device: of a click and a refined one, of a video. */
  differences: Record<string, number>;
  /** Whether the video's object was seen in any frame: weights that are made up may see nothing. */
  seen: Record<string, boolean>;
}

export interface Report {
  conditions: Conditions;
  rows: Row[];
}
