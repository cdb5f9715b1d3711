//! A sweep as a job array on a real Slurm, a task of which is killed and requeued.
//!
//! Needs Debian's `slurm-wlm` and root, which starts its daemons on loopback; elsewhere it says so and
//! passes. Continuous integration installs it.

use std::path::{Path, PathBuf};
use std::process::Command;

const SPEC: &str = r#"(
    name: "array",
    task: train(seeds: 2),
    set: {"epochs": 1, "modes": "[]", "roles.errors.format": "e4m3fn"},
    axes: [
        grid({"mac.accumulator": ["fp32", "fp16", "e6m9", "e5m4"]}),
        grid({"array.rows": [4, 8, 16]}),
    ],
)"#;

/// Submits, kills the first task once it has a result, requeues it, waits for all, merges.
const DRIVE: &str = r#"
set -euo pipefail
job=$(sbatch --parsable --array=1-3 --output="$OUT/task-%a.log" "$SCRIPT" "$SPEC" "$OUT/sweep")
first="$OUT/sweep/runs-1-of-3.jsonl"
for _ in $(seq 600); do [ -s "$first" ] && break; sleep 0.05; done
pkill -KILL -f -- "$OUT/sweep --resume --shard 1/3"
for _ in $(seq 600); do squeue --noheader --array --format=%F_%K | grep -qx "${job}_1" || break; sleep 0.1; done
before=$(wc -l < "$first")
echo "killed after $before"
scontrol requeue "${job}_1"
for _ in $(seq 1200); do [ -z "$(squeue --noheader)" ] && break; sleep 0.1; done
squeue
echo "ended with $(wc -l < "$first")"
"$SYSTOLE" merge "$OUT/sweep"
"#;

fn found(tool: &str) -> bool {
    let places = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<PathBuf>>()).unwrap_or_default();
    places.iter().chain([&PathBuf::from("/usr/sbin")]).any(|place| place.join(tool).is_file())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

#[test]
fn a_job_array_whose_task_was_killed_comes_to_the_same_table() {
    if !is_root() || !["slurmctld", "slurmd", "munged", "sbatch", "pkill"].iter().all(|tool| found(tool)) {
        eprintln!("skipped: needs root and Slurm (Debian's slurm-wlm), which are not here");
        return;
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = tempfile::Builder::new().prefix("slurm").tempdir().expect("temporary directory");
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("spec.ron"), SPEC).expect("a file");
    let alone = Command::new(env!("CARGO_BIN_EXE_systole")).arg("sweep").arg(path("spec.ron")).arg("--out").arg(path("alone")).output();
    assert!(alone.expect("systole runs").status.success());
    let search = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let driven = Command::new(manifest.join("tests/slurm/cluster.sh"))
        .arg(path("c"))
        .args(["bash", "-c", DRIVE])
        .env("PATH", search)
        .env("SYSTOLE", env!("CARGO_BIN_EXE_systole"))
        .env("SCRIPT", manifest.join("../docs/src/sweeps/sweep.sbatch"))
        .env("SPEC", path("spec.ron"))
        .env("OUT", directory.path())
        .output()
        .expect("a cluster");
    let said = String::from_utf8_lossy(&driven.stdout).into_owned() + &String::from_utf8_lossy(&driven.stderr);
    let logs: String = ["c/slurmctld.log", "c/slurmd.log", "task-1.log"]
        .iter()
        .map(|log| std::fs::read_to_string(path(log)).unwrap_or_default())
        .collect();
    assert!(driven.status.success(), "{said}\n{logs}");
    let count = |what: &str| said.lines().find_map(|line| line.strip_prefix(what)?.trim().parse::<usize>().ok());
    let (before, after) = (count("killed after"), count("ended with"));
    assert!(before < Some(8), "the task ended before it was killed: {said}");
    assert_eq!(after, Some(8), "{said}\n{logs}");
    let table = |name: &str| std::fs::read_to_string(path(name).join("table.csv")).expect("a table");
    assert_eq!(table("sweep"), table("alone"));
}
