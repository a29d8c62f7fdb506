#pragma once

int operator_tests(int* checks);  // returns how many failed, adds how many were made
