import { Sam2Error } from "./errors.js";
import type { ModelName } from "./types.js";

/** A model's file, at one version for good. */
export interface NamedModel {
  url: string;
  /** In hexadecimal. */
  sha256: string;
}

/** Hugging Face's copy at a commit: what a branch points at may change. */
const official = (name: string, revision: string, sha256: string): NamedModel => ({
  url: `https://huggingface.co/facebook/sam2.1-hiera-${name}/resolve/${revision}/model.safetensors`,
  sha256,
});

/** Meta's EdgeTAM (Apache-2.0), as its authors have put it there. */
const EDGETAM: NamedModel = {
  url: "https://huggingface.co/facebook/EdgeTAM/resolve/14b1b75185fee05a4e4ee1c797b2761d035c7ccf/edgetam.pt",
  sha256: "ed2d4850b8792c239689b043c47046ec239b6e808a3d9b6ae676c803fd8780df",
};

const OFFICIAL: Readonly<Record<Exclude<ModelName, "nano">, NamedModel>> = {
  edgetam: EDGETAM,
  tiny: official(
    "tiny",
    "de431c4043854a71d8101e17995dfe596bf101a5",
    "48c14467e5cf9e51870511feb72c89688e82dd74523142c0538b663e193ac2a7",
  ),
  small: official(
    "small",
    "ee5bba1d82bb8749febdf90f45e84b687142ba03",
    "0a4067b11ce1e23d5229203f11c718a823060d15a4b23fa2372a7d4b77cbbc60",
  ),
  "base-plus": official(
    "base-plus",
    "b7320756a13354e7530a63935656d35b2f91a290",
    "2012733a0de5d03efd1bba550a2847c4551be9ef2e0d497c83074df66189f780",
  ),
  large: official(
    "large",
    "665f8e2ad61cf5f53d65644ff27c8ee525124610",
    "dc407dce21301fd94abb395c5099b4f2c455fdc8a8f261ac3d0ea6d4cd197230",
  ),
};

export function isNamed(name: string): name is ModelName {
  return name === "nano" || Object.hasOwn(OFFICIAL, name);
}

/** @throws {@link Sam2Error} `UNSUPPORTED_INPUT` for `nano` where its package is not there. */
export function namedModel(name: ModelName): NamedModel {
  if (name !== "nano") return OFFICIAL[name];
  // The package sam2-web-nano leaves its address there when it is imported.
  const nano = (globalThis as Record<symbol, unknown>)[Symbol.for("sam2-web-nano")];
  if (nano) return addressed(nano as NamedModel);
  throw new Sam2Error(
    "UNSUPPORTED_INPUT",
    'The model "nano" is a package of its own, so that only its users carry its 10.7 MB. Install it (npm install ' +
      'sam2-web-nano) and write import "sam2-web-nano" where you load it; or say by baseUrl which folder has its ' +
      'nano.safetensors; or load another model, such as model: "tiny".',
  );
}

function addressed(nano: NamedModel): NamedModel {
  try {
    return { url: nano.url, sha256: nano.sha256 };
  } catch (cause) {
    throw new Sam2Error(
      "UNSUPPORTED_INPUT",
      "Where nano.safetensors is cannot be told in this bundle, whose format has no import.meta.url. Say by baseUrl which " +
        "folder has it, or make the bundle an ES module.",
      { cause },
    );
  }
}
