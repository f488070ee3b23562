// The rules chosen by their ids, compiled once for all commands.
#pragma once

#include "rules/registry.h"

extern template std::unique_ptr<rules::AnyRule<double>> rules::make_rule<double>(std::string_view,
                                                                                 const rnn::Network<double>&,
                                                                                 const rnn::Options&);
