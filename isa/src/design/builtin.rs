//! Designs that come with the tool: one RON file each.

use super::Design;

/// A built-in design: its name and RON text.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Name `--design` takes.
    pub name: &'static str,
    /// RON source, as a user would write it.
    pub ron: &'static str,
}

macro_rules! designs {
    ($($name:literal),* $(,)?) => {
        /// Every built-in design.
        pub const DESIGNS: &[BuiltIn] =
            &[$(BuiltIn { name: $name, ron: include_str!(concat!("../../designs/", $name, ".ron")) }),*];
    };
}

designs![
    "fp8-16x16",
    "e6m9-16x16",
    "narrow-16x16",
    "narrow-chunked-16x16",
    "bf16-16x16",
    "fp16-16x16",
    "fp32-16x16",
    "int8-16x16",
    "gemmini-16x16",
    "mxfp8-16x16",
    "nvfp4-16x16",
    "bm8-16x16",
    "bm6-16x16",
    "bm5-16x16",
    "fp8-fp32acc-16x16",
    "wang-fp8-16x16",
    "hfp8-16x16",
    "ladder-16x16",
    "swalp-16x16",
    "seb-fp8-8x8",
    "fp134-16x16",
    "mptorch-16x16",
    "posit8-16x16",
    "condition-16x16",
    "tpu-v1",
    "tpu-v3",
    "tpu-v4",
    "h100-sxm-fp8",
    "rapid-hfp8",
    "v100-fp16",
    "a100-fp16",
    "a100-bf16",
    "a100-tf32",
    "ada-fp8",
    "h100-fp8",
    "h100-fp8-fp16",
    "h100-fp16",
    "h100-fp16-fp16",
    "h100-bf16",
    "h100-tf32",
    "deepseek-fp8",
    "b200-fp8",
    "mi300-fp8",
    "mi300-fp16",
    "mi300-bf16",
    "amx-bf16",
    "avx512-bf16"
];

/// The built-in design of that name.
pub fn find(name: &str) -> Option<Design> {
    let built_in = DESIGNS.iter().find(|d| d.name == name)?;
    Some(Design::from_ron(built_in.name, built_in.ron).unwrap_or_else(|e| unreachable!("built-in design: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_is_sound_and_named_as_its_file() {
        for built_in in DESIGNS {
            let design = Design::from_ron(built_in.name, built_in.ron).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(design.name, built_in.name);
            assert!(!design.summary.is_empty());
            design.validated().unwrap_or_else(|e| panic!("{e}"));
        }
    }

    #[test]
    fn an_overridden_mode_takes_the_place_of_its_equal() {
        let design = find("fp8-16x16").unwrap();
        let set = |path: &str, value: &str| (path.to_owned(), value.to_owned());
        let e5m2 = design.with_overrides(&[set("mac.a", "e5m2")]).unwrap();
        assert_eq!(e5m2.mode_for("e5m2".parse().unwrap(), "e4m3fn".parse().unwrap()), Some(0));
        assert_eq!(e5m2.modes.len() + 1, design.modes.len());
        // A file that says so itself is refused.
        let twice = Design { modes: [design.modes.clone(), design.modes.clone()].concat(), ..design };
        assert!(twice.with_overrides(&[set("array.rows", "4")]).is_err());
    }
}
