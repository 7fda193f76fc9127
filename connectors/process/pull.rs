//! The contract on top of the lines.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    Settings,
    program::{Bounds, Command, Program},
    talk::{self, Described, Incoming},
};
use crate::{
    contract::{Check, Cursor, Page, Pull, Toolbox},
    fault::Fault,
    holdings::{Holdings, Period},
    mapping::Compiled,
};

/// Reads what a program gives.
pub(super) struct Asked {
    command: Command,
    mapping: Arc<Compiled>,
    tools: Toolbox,
    bounds: Bounds,
    /// Kept between calls, taken out during one: a call that is dropped half-way ends the half-heard program with it.
    running: Option<(Program, Described)>,
}

impl Asked {
    pub(super) fn new(settings: &Settings, command: Command, mapping: Arc<Compiled>, tools: &Toolbox) -> Self {
        let at_most = Duration::from_secs(u64::from(settings.answer_seconds));
        let bounds = Bounds { line_bytes: settings.line_bytes, at_most };
        Self { command, mapping, tools: tools.clone(), bounds, running: None }
    }

    /// The program; a new one where none is running or the last one has ended.
    async fn ready(&mut self) -> Result<(Program, Described), Fault> {
        if let Some((mut program, described)) = self.running.take()
            && program.is_ready()
        {
            return Ok((program, described));
        }
        self.start().await
    }

    async fn start(&self) -> Result<(Program, Described), Fault> {
        let mut program = self.command.start()?;
        let described = program.ask(&talk::describe(), self.bounds, talk::described).await?;
        Ok((program, described))
    }
}

#[async_trait]
impl Pull for Asked {
    async fn check(&mut self) -> Check {
        self.running = None;
        let mut check = Check::default();
        self.tools.pace.ready().await;
        let (mut program, described) = match self.start().await {
            Ok(started) => started,
            Err(fault) => {
                check.step("start", Err(fault));
                return check;
            }
        };
        check.step("start", Ok(format!("the program speaks the protocol: {}", described.about)));
        match program.ask(&talk::check(), self.bounds, talk::checked).await {
            Ok(steps) => {
                for step in steps {
                    if !check.step(step.name, step.outcome) {
                        break;
                    }
                }
            }
            Err(fault) => {
                check.step("ask it to check its source", Err(fault));
            }
        }
        check
    }

    async fn pull(&mut self, cursor: Option<&Cursor>) -> Result<Page, Fault> {
        self.tools.pace.ready().await;
        let (mut program, described) = self.ready().await?;
        let limits = self.tools.limits;
        let mut incoming = Incoming::new(&self.mapping, &limits, self.bounds.line_bytes);
        let question = talk::pull(cursor, &limits);
        let page = program.ask(&question, self.bounds, |line| incoming.take(line)).await?;
        if page.more && page.items.is_empty() && cursor == Some(&page.cursor) {
            return Err(Fault::permanent("the program says that there is more, but its cursor stands still")
                .remedy("let it move its cursor, or say that there is no more"));
        }
        self.running = Some((program, described));
        Ok(page)
    }

    async fn holdings(&mut self, period: Period) -> Result<Option<Holdings>, Fault> {
        self.tools.pace.ready().await;
        let (mut program, described) = self.ready().await?;
        let talk::Names(held) = program.ask(&talk::holdings(period), self.bounds, talk::held).await?;
        self.running = Some((program, described));
        Ok(held)
    }

    async fn confirm(&mut self, page: &Page) -> Result<(), Fault> {
        let (mut program, described) = self.ready().await?;
        if described.acknowledges {
            let question = talk::acknowledge(&page.cursor);
            program.ask(&question, self.bounds, talk::acknowledged).await?;
        }
        self.running = Some((program, described));
        Ok(())
    }
}
