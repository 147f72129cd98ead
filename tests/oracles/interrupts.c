/* Delivers a signal to Python before chosen bytecode instructions, as if it had arrived there.

   `interrupts.py` compiles it. Python acts on a signal at its own next check: after a call, at the
   begin of a function, at the end of a loop's pass. */
typedef struct object PyObject;

extern void PyEval_SetTrace(int (*)(PyObject *, PyObject *, int, PyObject *), PyObject *);
extern int PyObject_SetAttrString(PyObject *, const char *, PyObject *);
extern int PyErr_SetInterruptEx(int);
extern PyObject _Py_TrueStruct;

enum { CALL = 0, OPCODE = 7 };

static long seen, first, second;
static int number;

static int on_event(PyObject *self, PyObject *frame, int what, PyObject *argument) {
    (void)self, (void)argument;
    if (what == CALL) return PyObject_SetAttrString(frame, "f_trace_opcodes", &_Py_TrueStruct);
    if (what != OPCODE) return 0;
    seen++;
    if (seen == first || seen == second) PyErr_SetInterruptEx(number);
    return 0;
}

void interrupts_arm(long at, long again, int signal_number) {
    seen = 0, first = at, second = again, number = signal_number;
    PyEval_SetTrace(on_event, 0);
}

long interrupts_disarm(void) {
    PyEval_SetTrace(0, 0);
    return seen;
}
