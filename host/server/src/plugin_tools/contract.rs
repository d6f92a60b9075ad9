//! The contract's files, as this server speaks it.

use std::fs;
use std::path::Path;

/// Names and texts.
const FILES: [(&str, &str); 4] = [
    ("types.wit", include_str!("../../../../wit/types.wit")),
    ("strategies.wit", include_str!("../../../../wit/strategies.wit")),
    ("host.wit", include_str!("../../../../wit/host.wit")),
    ("README.md", include_str!("../../../../wit/README.md")),
];

/// All of it, for reading.
pub(super) fn text() -> String {
    FILES.iter().filter(|(name, _)| name.ends_with(".wit")).map(|(_, text)| *text).collect::<Vec<_>>().join("\n")
}

/// Writes the files into `folder`, which is made if it is not there.
pub(super) fn write(folder: &Path) -> Result<String, Vec<String>> {
    let fail = |error: std::io::Error| vec![format!("cannot write the contract to {}: {error}", folder.display())];
    fs::create_dir_all(folder).map_err(fail)?;
    for (name, text) in FILES {
        fs::write(folder.join(name), text).map_err(fail)?;
    }
    Ok(format!("wrote {} to {}\n", FILES.map(|(name, _)| name).join(", "), folder.display()))
}
