"""Where bytes may lie: places and their countries, profiles and their laws, rules on objects."""
