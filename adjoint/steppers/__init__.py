"""What a solver exposes: the `Stepper` protocol and `FunctionStepper`."""
