//! Files with the names of classes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sam2_labels::Classes;
use serde::Deserialize;

/// The names that such files have beside YOLO's labels.
const USUAL: [&str; 2] = ["data.yaml", "classes.txt"];

/// Reads the names of classes: a data set's YAML with `names`, or a text file with a name in each line.
///
/// # Errors
/// The file cannot be read, or has no names.
pub fn read(path: &Path) -> Result<Classes> {
    let name = || path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", name()))?;
    let text = text.trim_start_matches('\u{FEFF}');
    let is_yaml = path
        .extension()
        .is_some_and(|ending| ending == "yaml" || ending == "yml");
    let classes: Classes = if is_yaml {
        from_yaml(text).with_context(name)?
    } else {
        let lines = text.trim_end().lines().map(|line| line.trim().to_owned());
        lines.enumerate().filter(|(_, line)| !line.is_empty()).collect()
    };
    ensure!(!classes.is_empty(), "{}: it has no names of classes", name());
    Ok(classes)
}

fn from_yaml(text: &str) -> Result<Classes> {
    #[derive(Deserialize)]
    struct Numbered {
        names: BTreeMap<usize, String>,
    }
    #[derive(Deserialize)]
    struct Listed {
        names: Vec<String>,
    }
    if let Ok(Numbered { names }) = serde_saphyr::from_str(text) {
        return Ok(names);
    }
    let Listed { names } = serde_saphyr::from_str(text).context(
        "it has no `names`, a list of the classes' names or names by numbers, as a YOLO data set's YAML has",
    )?;
    Ok(names.into_iter().enumerate().collect())
}

/// Whether a text file has classes and not labels, by its name.
pub fn is_usual(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| USUAL.iter().any(|usual| name == *usual))
}

/// A file of classes in a folder of labels, or in the two around it: a data set's YAML is beside `labels/train`.
pub fn find(folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    let folders = folder.ancestors().take(3);
    let mut files = folders.flat_map(|folder| USUAL.map(|name| folder.join(name)));
    files.find(|file| file.is_file())
}

/// A data set's YAML, as far as it has the classes.
pub fn to_yaml(classes: &Classes) -> Result<String> {
    let mut yaml = String::from("names:\n");
    for (number, name) in classes {
        // JSON's text is YAML's too.
        yaml += &format!("  {number}: {}\n", serde_json::to_string(name)?);
    }
    Ok(yaml)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_has_names_as_a_list_or_by_numbers() {
        let classes = |names: &[(usize, &str)]| -> Classes {
            names
                .iter()
                .map(|(number, name)| (*number, (*name).to_owned()))
                .collect()
        };
        for (yaml, names) in [
            (
                "path: ../x\nnc: 2\nnames: [cup, 'a: b']\n",
                &[(0, "cup"), (1, "a: b")][..],
            ),
            (
                "names:\n  - cup\n  - no\n  - 5\n",
                &[(0, "cup"), (1, "no"), (2, "5")],
            ),
            (
                "names:\n  0: cup\n  7: lid # the last\n",
                &[(0, "cup"), (7, "lid")],
            ),
        ] {
            assert_eq!(from_yaml(yaml).unwrap(), classes(names), "{yaml}");
        }
        assert!(from_yaml("nc: 2\n").is_err());
        let strange = classes(&[(0, "cup"), (3, "a: \"b\" # c"), (4, "ä\\"), (5, "yes")]);
        assert_eq!(from_yaml(&to_yaml(&strange).unwrap()).unwrap(), strange);
    }
}
