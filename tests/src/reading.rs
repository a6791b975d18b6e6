//! Reading captures: captures are made, and read by tracer, tshark and tcpdump, one after
//! the other in turns. What counts is the processor's time, which does not depend on who else
//! uses the machine, unlike the time that passes.

mod messages;
pub mod mix;
mod packets;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use mix::Shape;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// First argument that turns this program into one that runs another and says what it took.
pub const MEASURE: &str = "__measure";
/// First argument that turns this program into one that makes a capture.
pub const MAKE: &str = "__capture";

/// What reading a capture took.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Processor time, user and system together, of all its threads.
    pub seconds: f64,
    /// Largest resident set.
    pub megabytes: f64,
    pub packets: f64,
}

impl Cost {
    pub fn microseconds_per_packet(&self) -> f64 {
        self.seconds * 1e6 / self.packets
    }
}

/// Captures on disk, made when they are first asked for and removed in the end.
pub struct Captures {
    folder: tempfile::TempDir,
    made: RefCell<HashMap<(Shape, u32), (PathBuf, u32)>>,
}

impl Captures {
    pub fn new() -> Result<Self> {
        Ok(Self {
            folder: tempfile::tempdir().context("cannot make a folder for captures")?,
            made: RefCell::default(),
        })
    }

    /// A capture of about so many packets, and how many they are.
    fn get(&self, shape: Shape, packets: u32) -> Result<(PathBuf, u32)> {
        if let Some(known) = self.made.borrow().get(&(shape, packets)) {
            return Ok(known.clone());
        }
        let name = format!("{}-{packets}.pcap", shape.name());
        let path = self.folder.path().join(name);
        let written = shape.write(&path, packets);
        let count = written.with_context(|| format!("cannot write {}", path.display()))?;
        let made = (path, count);
        self.made
            .borrow_mut()
            .insert((shape, packets), made.clone());
        Ok(made)
    }

    /// What it takes `program` with `arguments` to read such a capture.
    pub fn cost(
        &self,
        program: &Path,
        arguments: &[&str],
        shape: Shape,
        packets: u32,
    ) -> Result<Cost> {
        let (capture, packets) = self.get(shape, packets)?;
        let this = std::env::current_exe()?;
        let output = Command::new(this)
            .arg(MEASURE)
            .arg(program)
            .args(arguments)
            .arg(&capture)
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot run {}", program.display()))?;
        ensure!(output.status.success(), "{} failed", program.display());
        let text = String::from_utf8(output.stdout)?;
        let numbers: Vec<f64> = text
            .split_whitespace()
            .map_while(|it| it.parse().ok())
            .collect();
        let [seconds, megabytes] = numbers[..] else {
            bail!("not two numbers: {text:?}");
        };
        Ok(Cost {
            seconds,
            megabytes,
            packets: packets.into(),
        })
    }
}

/// Plays the part that the first argument names, if any.
pub fn part() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let result = match arguments.next()?.as_str() {
        MEASURE => measure(arguments),
        MAKE => make(arguments),
        _ => return None,
    };
    Some(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    })
}

/// Runs one program, so that what the kernel counted of ended children is this one's.
fn measure(mut command: impl Iterator<Item = String>) -> Result<()> {
    let program = command.next().context("no program to measure")?;
    let status = Command::new(&program)
        .args(command)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {program}"))?;
    ensure!(status.success(), "{program} failed: {status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6;
    // getrusage(2): in kilobytes.
    println!("{seconds} {}", usage.max_rss() as f64 / 1024.0);
    Ok(())
}

/// `SHAPE PACKETS FILE`: for profiling by hand.
fn make(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let name = arguments.next().context("no shape named")?;
    let shapes = [
        Shape::Mix,
        Shape::OneConnection,
        Shape::Scan,
        Shape::Unanswered,
    ];
    let shape = shapes.into_iter().find(|shape| shape.name() == name);
    let shape = shape.with_context(|| format!("no shape is called {name}"))?;
    let packets = arguments.next().context("no number of packets")?.parse()?;
    let path = arguments.next().context("no file named")?;
    let written = shape.write(Path::new(&path), packets)?;
    println!("{written} packets");
    Ok(())
}
