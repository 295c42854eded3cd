//! The course of a run: how time moves on, and when all is done.

use fahrplan::time::{DAY, MINUTE, SECOND, Timestamp};

use super::{Broken, Driver};

/// Steps with faults until things come to rest, and without.
const WILD: usize = 60;
const CALM: usize = 1_500;

impl Driver<'_> {
    /// Runs the whole plan.
    pub(crate) async fn run(&mut self) -> Result<(), Broken> {
        match self.plan.exact {
            true => self.run_exactly().await?,
            false => self.run_freely().await?,
        }
        self.finish().await
    }

    /// Time moves on when all is done.
    async fn run_exactly(&mut self) -> Result<(), Broken> {
        loop {
            let wakes = self.look().await?.wakes;
            let next = [wakes, self.client.next_at(), Some(self.plan.end)].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= self.plan.end) else { return Ok(()) };
            self.journey = self.journey.max(next);
            // Ids grow with the machine's clock, and what is due at one moment is done in the order of ids: so clocks go back
            // only while time stands.
            self.pass(self.latest.plus_ms(MINUTE));
            self.trace.note(|| format!("it is {next}"));
            self.client.open_until(next);
            let mut ticks = 0;
            while self.client.has_work(self.machine) || self.workers[self.plan.workers].doing.is_some() {
                ticks += 1;
                self.bounded(ticks)?;
                self.client_tick(ticks < WILD).await?;
            }
            self.settle().await?;
            if next == self.plan.end {
                return Ok(());
            }
            if self.random.chance(self.plan.faults.jump) {
                let later = self.random.pick(&[10 * MINUTE, 2 * DAY]);
                self.pass(self.machine.plus_ms(later));
            }
        }
    }

    /// Time moves on as it likes.
    async fn run_freely(&mut self) -> Result<(), Broken> {
        let mut ticks = 0;
        while self.machine < self.plan.end {
            ticks += 1;
            if ticks > 4_000 {
                return Err(self.broken("the run does not end"));
            }
            self.client.open_until(self.machine);
            if self.tick(true).await? {
                continue;
            }
            // Nothing is to be done: until something is, or a while longer.
            let needs = self.look().await?;
            let next = [needs.wakes, needs.queued, needs.again, self.client.next_at()];
            let next = next.into_iter().flatten().min().unwrap_or(self.plan.end);
            let late = if self.random.chance(20) { self.random.between(0, 90) * MINUTE } else { 0 };
            let next = next.plus_ms(late).min(self.plan.end).max(self.machine.plus_ms(SECOND));
            self.pass(next);
        }
        Ok(())
    }

    /// No more faults: everything that is due is done.
    async fn finish(&mut self) -> Result<(), Broken> {
        self.ends = true;
        for process in &mut self.processes {
            process.skew = 0;
        }
        self.client.open_until(Timestamp::NEVER);
        self.settle().await?;
        let mut ticks = 0;
        while self.workers.iter().any(|worker| worker.doing.is_some()) {
            ticks += 1;
            self.bounded(ticks)?;
            if !self.tick(false).await? {
                // Others stand behind who sleeps with the lock in his hands.
                let stand = self.workers.iter().filter_map(|worker| Some(worker.doing.as_ref()?.not_before));
                let until = stand.filter(|until| *until > self.machine).min();
                self.pass(until.unwrap_or(self.machine.plus_ms(SECOND)));
            }
        }
        if self.plan.exact {
            self.late_repeats().await?;
        }
        self.settle().await
    }

    /// Clients send again what they sent days ago.
    async fn late_repeats(&mut self) -> Result<(), Broken> {
        while let Some(at) = self.client.late_repeat() {
            self.pass(at);
            self.client.open_until(Timestamp::NEVER);
            self.settle().await?;
        }
        Ok(())
    }

    /// Until nothing is left to do at this moment.
    async fn settle(&mut self) -> Result<(), Broken> {
        let mut ticks = 0;
        loop {
            ticks += 1;
            self.bounded(ticks)?;
            if !self.tick(ticks < WILD).await? {
                return Ok(());
            }
        }
    }

    fn bounded(&self, ticks: usize) -> Result<(), Broken> {
        match ticks > CALM {
            true => Err(self.broken("it does not come to rest")),
            false => Ok(()),
        }
    }
}
