import "./counters.js";
import * as ort from "onnxruntime-web/wasm";
import { serve } from "./side.js";
import { Theirs } from "./theirs.js";

serve(new Theirs(ort as never));
