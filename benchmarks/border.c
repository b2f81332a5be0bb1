/* What crossing from Python to native code costs: the module `callcost`, baseline of single_call_python.
 * Does not belong here: anything that an exchange does. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define EVENTS 3
#define FIELDS 6

static long long total;

/* Takes integers as a fast call does. */
static PyObject *apply7(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    long long sum = 0;
    for (Py_ssize_t at = 0; at < count; at++) {
        sum += PyLong_AsLongLong(arguments[at]);
    }
    if (PyErr_Occurred()) {
        return NULL;
    }
    total += sum;
    return PyLong_FromLongLong(sum);
}

/* Returns a tuple of tuples of integers too large to be cached. */
static PyObject *events(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module, (void)arguments, (void)count;
    PyObject *all = PyTuple_New(EVENTS);
    for (Py_ssize_t at = 0; all && at < EVENTS; at++) {
        PyObject *event = PyTuple_New(FIELDS);
        for (Py_ssize_t field = 0; event && field < FIELDS; field++) {
            PyTuple_SET_ITEM(event, field, PyLong_FromLongLong(1000000 + field));
        }
        if (!event) {
            Py_CLEAR(all);
            break;
        }
        PyTuple_SET_ITEM(all, at, event);
    }
    return all;
}

static PyMethodDef methods[] = {
    {"apply7", (PyCFunction)(void (*)(void))apply7, METH_FASTCALL, NULL},
    {"events", (PyCFunction)(void (*)(void))events, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "callcost", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_callcost(void) { return PyModule_Create(&definition); }
