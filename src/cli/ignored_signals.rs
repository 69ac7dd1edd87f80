//! Signals that were ignored when pgark began: `nohup` and shells' background jobs rely on programs
//! leaving them so.

/// Which of `signals` are ignored; none where the system does not tell (proc(5), `SigIgn`).
pub fn among(signals: &[i32]) -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = ignored(&status);
    signals.iter().copied().filter(|signal| mask >> (signal - 1) & 1 == 1).collect()
}

fn ignored(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::ignored;

    #[test]
    fn the_mask_is_read() {
        assert_eq!(ignored("Name:\tpgark\nSigBlk:\t00ff\nSigIgn:\t0000000000001001\n"), 0x1001);
        assert_eq!(ignored("Name:\tpgark\n"), 0);
    }
}
