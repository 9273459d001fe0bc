// A typedoc plugin. A parameter that is taken apart has no name of its own: it gets the one by which its comment speaks of it
// (`@param options.tolerance`), so that its fields' comments are found, or else "options".
import { Converter } from "typedoc";

export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_SIGNATURE, (_context, signature) => {
    const prefixes = (signature.comment?.blockTags ?? []).map(({ name }) => name?.match(/^(\w+)\./)?.[1]);
    const names = [...new Set(prefixes.filter((name) => name))];
    for (const parameter of signature.parameters ?? [])
      if (parameter.name === "__namedParameters") parameter.name = names.shift() ?? "options";
  });
}
