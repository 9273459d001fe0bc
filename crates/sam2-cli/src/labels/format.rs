//! Which format a label file has.

use sam2_labels::{LabelsError, parse_json};
use serde_json::Value;

/// A format of label files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A .json: a data set, a list of results, the records of `sam2 everything`, or SA-1B's file of a picture
    Coco,
    /// YOLO segmentation, a .txt for each picture
    Yolo,
    /// A .json for each picture
    Labelme,
    /// An indexed .png for each picture, whose palette indices are the labels
    Png,
    /// A .geojson or .json for each picture
    #[value(name = "geojson")]
    GeoJson,
}

impl Format {
    /// The name, for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Coco => "COCO",
            Self::Yolo => "YOLO",
            Self::Labelme => "labelme",
            Self::Png => "indexed PNG",
            Self::GeoJson => "GeoJSON",
        }
    }

    /// The endings of its files; the first is what is written.
    pub fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Coco | Self::Labelme => &["json"],
            Self::Yolo => &["txt"],
            Self::Png => &["png"],
            Self::GeoJson => &["geojson", "json"],
        }
    }

    /// Recognised by a file's contents; none for a file that has no labels.
    ///
    /// # Errors
    /// The file begins as JSON, and is none.
    pub fn of(bytes: &[u8]) -> Result<Option<Self>, LabelsError> {
        const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
        if bytes.starts_with(PNG) {
            return Ok(Some(Self::Png));
        }
        let text = bytes
            .strip_prefix(b"\xEF\xBB\xBF")
            .unwrap_or(bytes)
            .trim_ascii_start();
        if text.starts_with(b"{") || text.starts_with(b"[") {
            return Ok(Self::of_json(&parse_json(text, "label")?));
        }
        Ok((has_yolo_lines(text) == Some(true)).then_some(Self::Yolo))
    }

    /// Recognised by what JSON says; none where it has no labels.
    pub fn of_json(json: &Value) -> Option<Self> {
        let first = match json {
            Value::Array(list) => list.first().unwrap_or(json),
            json => json,
        };
        let kind = first.get("type").and_then(Value::as_str).unwrap_or_default();
        if json.get("shapes").is_some_and(Value::is_array) {
            Some(Self::Labelme)
        } else if [
            "FeatureCollection",
            "Feature",
            "Polygon",
            "MultiPolygon",
            "GeometryCollection",
        ]
        .contains(&kind)
        {
            Some(Self::GeoJson)
        } else if json.get("annotations").is_some_and(Value::is_array) || first.get("segmentation").is_some()
        {
            Some(Self::Coco)
        } else {
            None
        }
    }
}

/// Whether the first line that has something is one of numbers; none where no line has anything.
pub fn has_yolo_lines(text: &[u8]) -> Option<bool> {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let lines = text.split(|byte| matches!(byte, b'\n' | b'\r'));
    let line = lines.map(<[u8]>::trim_ascii).find(|line| !line.is_empty())?;
    let mut words = line
        .split(|byte| byte.is_ascii_whitespace() || *byte == b',')
        .filter(|word| !word.is_empty());
    let is_number = |word: &[u8]| str::from_utf8(word).is_ok_and(|word| word.parse::<f64>().is_ok());
    Some(words.all(is_number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_recognised_by_contents() {
        for (text, format) in [
            (r#"{"images": [], "annotations": []}"#, Some(Format::Coco)),
            (r#"[{"segmentation": {}}]"#, Some(Format::Coco)),
            (
                "\u{FEFF}\n{\"version\": 5, \"shapes\": []}",
                Some(Format::Labelme),
            ),
            (
                r#"{"type": "FeatureCollection", "features": []}"#,
                Some(Format::GeoJson),
            ),
            (r#"[{"type": "Feature"}]"#, Some(Format::GeoJson)),
            (r#"{"type": "MultiPolygon"}"#, Some(Format::GeoJson)),
            ("\r\n0 .1 .1 .2 .2 .3 .3\n", Some(Format::Yolo)),
            (r#"{"categories": []}"#, None),
            ("[]", None),
            ("read me", None),
            ("", None),
        ] {
            assert_eq!(Format::of(text.as_bytes()), Ok(format), "{text}");
        }
        assert_eq!(Format::of(b"\x89PNG\r\n\x1a\n.."), Ok(Some(Format::Png)));
        let error = Format::of(b"{").unwrap_err().to_string();
        assert!(
            error.starts_with("this is no label file: it is no JSON ("),
            "{error}"
        );
    }
}
