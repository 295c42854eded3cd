//! Types and durations as the checker sees them.

use super::ast;
use crate::time::{Calendar, HOUR, MINUTE, SECOND};
use crate::value::Decimal;

/// The duration that the author wrote. Fractions are exact for elapsed units (`1.5 hours`) and cut off for calendar units,
/// where the checker refuses them.
pub fn calendar(duration: &ast::Duration) -> Calendar {
    let mut sum = Calendar::default();
    for (number, unit) in &duration.parts {
        let whole = number.value.trunc();
        let count = i32::try_from(whole).unwrap_or(if whole < 0 { i32::MIN / 16 } else { i32::MAX / 16 });
        let count = count.clamp(i32::MIN / 16, i32::MAX / 16);
        let elapsed = |ms: i64| {
            let exact = i128::from(number.value.0) * i128::from(ms) / i128::from(Decimal::ONE);
            i64::try_from(exact).unwrap_or(i64::MAX / 4)
        };
        match unit {
            ast::Unit::Second => sum.ms = sum.ms.saturating_add(elapsed(SECOND)),
            ast::Unit::Minute => sum.ms = sum.ms.saturating_add(elapsed(MINUTE)),
            ast::Unit::Hour => sum.ms = sum.ms.saturating_add(elapsed(HOUR)),
            ast::Unit::Day => sum.days = sum.days.saturating_add(count),
            ast::Unit::WorkingDay => sum.working_days = sum.working_days.saturating_add(count),
            ast::Unit::Week => sum.days = sum.days.saturating_add(count.saturating_mul(7)),
            ast::Unit::Month => sum.months = sum.months.saturating_add(count),
            ast::Unit::Year => sum.months = sum.months.saturating_add(count.saturating_mul(12)),
        }
    }
    sum
}
