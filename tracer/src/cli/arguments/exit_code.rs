/// What the exit code tells the caller. The numbers are a contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// Done. A broken pipe is success, too: the reader had enough.
    Done,
    /// The traced request failed.
    Failed,
    /// The command line cannot be used.
    Usage,
    /// A capability is missing.
    NotPermitted,
    /// The kernel lacks what is needed.
    KernelLacks,
    /// An input file cannot be read.
    InputUnreadable,
    /// The code of the command of `tracer run`, whatever it means there.
    Command(u8),
}

impl ExitCode {
    /// The number for the calling shell.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotPermitted => 3,
            Self::KernelLacks => 4,
            Self::InputUnreadable => 5,
            Self::Command(code) => code,
        }
    }

    /// The code of a command that ended with `status`: as shells have it, 128 and the
    /// signal's number when a signal ended it.
    pub fn of_command(status: std::process::ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let code = status
            .code()
            .or_else(|| status.signal().map(|signal| 128 + signal));
        match code {
            Some(0) => Self::Done,
            Some(code) => u8::try_from(code).map_or(Self::Failed, Self::Command),
            None => Self::Failed,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        code.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::ExitCode;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    #[test]
    fn the_numbers_are_those_of_the_contract() {
        let codes = [
            ExitCode::Done,
            ExitCode::Failed,
            ExitCode::Usage,
            ExitCode::NotPermitted,
            ExitCode::KernelLacks,
            ExitCode::InputUnreadable,
        ];
        assert_eq!(codes.map(ExitCode::code), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_command_passes_its_own_code_on() {
        let of = |raw| ExitCode::of_command(ExitStatus::from_raw(raw)).code();
        assert_eq!(of(0), 0);
        assert_eq!(of(22 << 8), 22);
        assert_eq!(of(9), 137, "killed by SIGKILL");
    }
}
