//! sam2-predict
