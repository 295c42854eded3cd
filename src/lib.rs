//! Fahrplan: customer journeys as code.
