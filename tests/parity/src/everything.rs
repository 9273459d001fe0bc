//! Options of the official `SAM2AutomaticMaskGenerator`.

use sam2_predict::MaskGeneratorOptions;
use serde_json::{Map, Value};

/// The official arguments in JavaScript's spelling, and what they mean.
///
/// # Panics
/// If one of them is not known.
pub fn generator_options(args: &Value) -> (Value, MaskGeneratorOptions) {
    let (mut spelled, mut options) = (Map::new(), MaskGeneratorOptions::default());
    for (name, value) in args.as_object().expect("options by name") {
        // In which form masks are written: our records have one.
        if name == "output_mode" {
            continue;
        }
        let number = value.as_f64().or_else(|| value.as_bool().map(f64::from));
        options
            .set(name, number.expect("a number, or true or false"))
            .expect("a known option");
        spelled.insert(in_camel_case(name), value.clone());
    }
    (Value::Object(spelled), options)
}

fn in_camel_case(name: &str) -> String {
    let mut after_underscore = false;
    name.chars()
        .filter_map(|c| {
            let upper = std::mem::replace(&mut after_underscore, c == '_');
            (c != '_').then(|| if upper { c.to_ascii_uppercase() } else { c })
        })
        .collect()
}
