//! The running program: one question in a line, an answer in lines, and an end that leaves nothing running.

use std::{collections::BTreeMap, ffi::OsString, fmt, io::ErrorKind, path::PathBuf, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{self, Child, ChildStderr, ChildStdin, ChildStdout},
    time::timeout,
};

use crate::fault::Fault;

/// Bytes that a program may write to its standard error during one answer.
const NOISE_BYTES: u64 = 64 * 1024 * 1024;

/// How long an ended program may take to say with which status it ended.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What to start.
#[derive(Clone)]
pub(super) struct Command {
    /// The program and its arguments.
    pub(super) words: Vec<String>,
    /// Where it runs.
    pub(super) folder: Option<PathBuf>,
    /// All that it finds in its environment; holds secrets.
    pub(super) environment: BTreeMap<String, OsString>,
}

impl fmt::Debug for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.environment.keys().collect();
        formatter.debug_struct("Command").field("words", &self.words).field("variables", &names).finish_non_exhaustive()
    }
}

/// Bounds on one answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The longest line, in bytes.
    pub(super) line_bytes: usize,
    /// The time for the whole answer.
    pub(super) at_most: Duration,
}

/// One line of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// All of it, without the line break.
    Whole(Vec<u8>),
    /// It is longer than the bound.
    Over {
        /// Its first bytes, up to the bound.
        start: Vec<u8>,
        /// Bytes that it has in all.
        size: u64,
    },
}

/// A program that was started and has kept to the protocol so far.
pub(super) struct Program {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    stderr: ChildStderr,
    name: String,
    /// The number of its process group.
    #[cfg(unix)]
    group: Option<rustix::process::Pid>,
}

/// How an exchange came to its end without an answer.
enum Broken {
    /// The answer itself is the fault.
    Told(Fault),
    /// The program has ended, or closed its standard output.
    Ended,
    /// It writes to its standard error without end.
    Noise,
}

impl Command {
    fn program(&self) -> Result<PathBuf, Fault> {
        let word = self.words.first().ok_or_else(|| Fault::configuration("no program is named"))?;
        let path = PathBuf::from(word);
        Ok(match &self.folder {
            Some(folder) if word.contains('/') && path.is_relative() => folder.join(path),
            _ => path,
        })
    }

    /// Starts the program, in a process group of its own so that what it starts ends with it.
    pub(super) fn start(&self) -> Result<Program, Fault> {
        let mut command = process::Command::new(self.program()?);
        command.args(self.words.iter().skip(1)).env_clear().envs(&self.environment);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| self.unstartable(&error))?;
        match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => {
                let name = self.words.first().cloned().unwrap_or_default();
                #[cfg(unix)]
                let number = child.id().and_then(|number| i32::try_from(number).ok());
                Ok(Program {
                    stdin,
                    stdout: BufReader::new(stdout),
                    stderr,
                    name,
                    #[cfg(unix)]
                    group: number.and_then(rustix::process::Pid::from_raw),
                    child,
                })
            }
            _ => Err(Fault::transient("the program was started without its pipes")),
        }
    }

    fn unstartable(&self, error: &std::io::Error) -> Fault {
        let name = self.words.first().map_or("", String::as_str);
        let fault = format!("the program {name} cannot be started: {}", error.kind());
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::NotADirectory => Fault::configuration(fault)
                .remedy("check command and folder, and let the gateway's user read and execute the program"),
            _ => Fault::transient(fault),
        }
    }
}

impl Program {
    /// Whether it can be asked: it runs, and said nothing that it was not asked for.
    pub(super) fn is_ready(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None)) && self.stdout.buffer().is_empty()
    }

    /// Asks one question and gives the lines of the answer to `each`, until that has what it waits for.
    ///
    /// After a fault, and where this call is dropped, the program's state is unknown: it must be dropped as well.
    pub(super) async fn ask<T>(
        &mut self,
        question: &serde_json::Value,
        bounds: Bounds,
        mut each: impl FnMut(Line) -> Result<Option<T>, Fault>,
    ) -> Result<T, Fault> {
        let line = format!("{question}\n");
        let (stdin, stdout, stderr) = (&mut self.stdin, &mut self.stdout, &mut self.stderr);
        let talk = async {
            stdin.write_all(line.as_bytes()).await.map_err(|_| Broken::Ended)?;
            stdin.flush().await.map_err(|_| Broken::Ended)?;
            loop {
                let line = read_line(stdout, bounds.line_bytes).await.ok_or(Broken::Ended)?;
                if let Some(answer) = each(line).map_err(Broken::Told)? {
                    return Ok(answer);
                }
            }
        };
        let outcome = timeout(bounds.at_most, async {
            tokio::select! {
                biased;
                outcome = talk => outcome,
                () = drain(stderr) => Err(Broken::Noise),
            }
        });
        match outcome.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Broken::Told(fault))) => Err(fault),
            Ok(Err(Broken::Ended)) => Err(self.ended().await),
            Ok(Err(Broken::Noise)) => Err(Fault::permanent(format!(
                "the program {} wrote more than {NOISE_BYTES} bytes to its standard error",
                self.name
            ))
            .remedy("let it write less there: none of it is kept")),
            Err(_) => Err(Fault::transient(format!(
                "the program {} did not answer within {} s and was killed",
                self.name,
                bounds.at_most.as_secs()
            ))
            .remedy("let it give smaller pages, or raise answer_seconds")),
        }
    }

    async fn ended(&mut self) -> Fault {
        let how = match timeout(LAST_WORD, self.child.wait()).await {
            Ok(Ok(status)) => format!("ended ({status})"),
            _ => "closed its standard output".to_owned(),
        };
        Fault::transient(format!("the program {} {how} before its answer was whole", self.name))
            .remedy("run it by hand as the guide to the adapter says, and read what it writes to its standard error")
    }
}

impl Drop for Program {
    /// Kills it and whatever it started. Nothing it still holds counts: a page counts once it is committed.
    fn drop(&mut self) {
        // While a member of the group lives, its number is nobody else's; where none does, there is none to be killed.
        #[cfg(unix)]
        if let Some(group) = self.group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// The next line; `None` where there is no more. Of a line over the bound the rest is read and thrown away.
async fn read_line(from: &mut BufReader<ChildStdout>, most: usize) -> Option<Line> {
    let mut line = Vec::new();
    let mut size = 0_u64;
    loop {
        let bytes = from.fill_buf().await.ok()?;
        if bytes.is_empty() {
            return None;
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        size += part.len() as u64;
        line.extend_from_slice(&part[..part.len().min(most - line.len())]);
        let used = end.map_or(bytes.len(), |end| end + 1);
        from.consume(used);
        if end.is_some() {
            let whole = size == line.len() as u64;
            return Some(if whole { Line::Whole(line) } else { Line::Over { start: line, size } });
        }
    }
}

/// Reads and forgets what comes; returns only where that is more than the bound.
async fn drain(from: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = [0; 4096];
    let mut seen = 0_u64;
    while seen <= NOISE_BYTES {
        match from.read(&mut buffer).await {
            Ok(length) if length > 0 => seen += length as u64,
            // Closed: the answer may still come.
            _ => return std::future::pending().await,
        }
    }
}
