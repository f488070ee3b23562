// Every rule of the registry for double.
#include "rules/registry.h"

template std::unique_ptr<rules::AnyRule<double>> rules::make_rule<double>(std::string_view, const rnn::Network<double>&,
                                                                          const rnn::Options&);
