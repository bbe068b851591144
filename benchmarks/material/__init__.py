"""What several benchmarks start from: images, cues, and plain searches written from their formulas."""
