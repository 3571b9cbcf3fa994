"""Steps of the channel: a core that does the work and a face that makes it a KFP component."""
