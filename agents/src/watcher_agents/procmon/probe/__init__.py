"""The process probe: the BPF program, how it is loaded without kernel headers, and the records it sends."""
