//! sam2-web
